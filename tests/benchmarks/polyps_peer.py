"""ultralytics' YOLOv8n-seg from scratch in our loop, to compare a recipe's network with.

Its own network, its own initial weights and its own loss; batches, order, augmentation, input
size, optimiser, schedule, seed and averaging are the recipe's. What comes out is converted to our
layout of the same network, so that ``trocar evaluate`` measures it as it measures any model.

``python -m tests.benchmarks.polyps_peer lmsf-a-polyps-cpu --data FOLDER --out DIR``; a run there
goes on. ultralytics is the user's to install (AGPL), never a dependency.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from app.cli.lesson import read_lesson
from app.core.errors import TrocarError
from app.learning import publish, runs
from app.learning.instruments import train_instruments
from app.learning.recipes import Recipe, read_recipe
from models import create_model
from models.checkpoint import save_weights
from models.lmsf_a.head import STRIDES_PX
from models.training import Progress
from models.types import InstanceOutput, InstanceTargets, anchor_grid
from tests.benchmarks import peer

OPTIONS = {"c2f_pro": False, "neck": False, "lmsh": False}
"""Our layout of the same network."""
_PLACES = {
    "0": "stem",
    "1": "down2",
    "2": "stage2",
    "3": "down3",
    "4": "stage3",
    "5": "down4",
    "6": "stage4",
    "7": "down5",
    "8": "stage5",
    "9": "pool",
    "12": "top4",
    "15": "top3",
    "16": "bottom_down4",
    "18": "bottom4",
    "19": "bottom_down5",
    "21": "bottom5",
    "22": "head",
}
_HEAD = {
    "cv2": "box",
    "cv3": "classify",
    "cv4": "coefficients",
    "proto": "proto",
    "dfl": "dfl",
}
_PROTO = {"cv1": "first", "cv2": "second", "cv3": "third", "upsample": "upsample"}
_STAGE = {"cv1": "split", "cv2": "merge", "m": "units"}
_POOL = {"cv1": "reduce", "cv2": "expand"}
_UNIT = {"cv1": "first", "cv2": "second"}


class Peer(nn.Module):
    """The peer's network: its own raw output in training, ours in eval mode.

    Args:
        num_classes: K.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from ultralytics.cfg import get_cfg
            from ultralytics.nn.tasks import SegmentationModel

            self.inner = SegmentationModel("yolov8n-seg.yaml", nc=num_classes, verbose=False)
        self.inner.args = get_cfg(overrides={"overlap_mask": False})

    def forward(self, images: Tensor) -> Any:
        """Float (B, 3, H, W) in [0, 1] to what its loss takes, or to an `InstanceOutput`."""
        found = self.inner(images)
        if self.training:
            return found
        found = found[1]
        centres, strides = anchor_grid(*images.shape[2:], STRIDES_PX, images.device)
        return InstanceOutput(
            found["boxes"],
            found["scores"],
            found["mask_coefficient"],
            found["proto"],
            centres,
            strides,
        )


class PeerLoss:
    """The peer's own loss on our targets."""

    def __init__(self, network: Peer) -> None:
        self.criterion = network.inner.init_criterion()

    def __call__(
        self, output: dict[str, Any], targets: InstanceTargets
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """As `models.losses.instance.InstanceLoss`, with the peer's names of the parts."""
        height, width = (4 * n for n in output["proto"].shape[2:])
        whole = {k: v.float() if isinstance(v, Tensor) else v for k, v in output.items()}
        image, _ = targets.valid.nonzero(as_tuple=True)
        boxes = targets.boxes[targets.valid]
        centres, sizes = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
        scale = boxes.new_tensor((width, height, width, height))
        batch = {
            "batch_idx": image.float(),
            "cls": targets.classes[targets.valid].float(),
            "bboxes": torch.cat((centres, sizes), 1) / scale,
            "masks": targets.masks[targets.valid].float(),
        }
        total, parts = self.criterion(whole, batch)
        return total.sum(), parts


def in_our_layout(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The peer's weights under the names of ``LMSFA`` with all three switches off."""
    return {_ours(name): value for name, value in state.items()}


def _ours(name: str) -> str:
    parts = name.removeprefix("inner.").removeprefix("model.").split(".")
    place, rest = parts[0], parts[1:]
    if place == "9":
        rest[0] = _POOL[rest[0]]
    elif place == "22":
        rest[0] = _HEAD[rest[0]]
        if rest[0] == "proto":
            rest[1] = _PROTO[rest[1]]
    elif rest[0] in _STAGE:
        rest[0] = _STAGE[rest[0]]
        if rest[0] == "units":
            rest[2] = _UNIT[rest[2]]
    return ".".join((_PLACES[place], *("norm" if p == "bn" else p for p in rest)))


def train(plan: Recipe, data: Path, out: Path, device: str | None = None) -> Path:
    """Train the peer as the recipe says; returns the folder of the model that comes out."""
    own = replace(
        plan,
        name=f"yolov8n-seg-{plan.name}"[:80],
        title=f"YOLOv8n-seg as {plan.title}",
        options={**plan.options, **OPTIONS},
        card={**plan.card, "licence": "AGPL-3.0 (ultralytics), and that of the pictures"},
    )
    lesson = read_lesson(own, data, None, 0.0, quiet=True)
    measure = lesson.validation_of(own)
    runs.claim(out, {"peer": peer.NAME, **asdict(own)})
    chosen = runs.device_for(device)
    torch.manual_seed(int(own.train.get("seed", 0)))
    network = Peer(len(own.classes)).to(chosen.device)
    result = train_instruments(
        own,
        lesson.learn,
        out,
        network=network,
        loss=PeerLoss(network),
        device=chosen.device,
        evaluate=measure,
        score=measure.score if measure else "",
        on_progress=_told,
        should_stop=lambda: False,
    )
    save_weights(converted(result.network), out / runs.RESULT, half=True)
    end = runs.RunEnd(
        steps=result.steps,
        seconds=result.seconds,
        ended=result.ended,
        best=result.best,
        device=runs.device_words(chosen, own),
    )
    runs.write_end(out, end)
    said = f"polyps_peer {plan.name} --data {data.name} --out {out.name}"
    card = publish.card_of(own, end, command=said, figures=end.best)
    return publish.publish(out, card, out).folder or out


def converted(network: nn.Module) -> nn.Module:
    """Our network with the weights of a ``Peer``, in eval mode; the outputs are the same."""
    ours = create_model("lmsf_a", **OPTIONS, num_classes=network.inner.model[-1].nc)
    ours.load_state_dict(in_our_layout(network.state_dict()))
    return ours.eval()


def _told(progress: Progress) -> None:
    print(json.dumps(asdict(progress)), flush=True)  # noqa: T201


def main() -> None:
    """Run the command line of the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, help="in place of the recipe's")
    parser.add_argument("--device")
    given = parser.parse_args()
    if reason := peer.why_not():
        sys.exit(f"{reason}.")
    try:
        plan = read_recipe(given.recipe)
        if given.seed is not None:
            plan.train["seed"] = plan.data["seed"] = given.seed
        print(train(plan, given.data, given.out, given.device))  # noqa: T201
    except TrocarError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
