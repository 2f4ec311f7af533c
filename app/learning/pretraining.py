"""Pre-training EndoMamba on an archive without labels: what the backbone of a hospital comes from.

Published procedure: specification (temporal-models, section 1.9). Clips are cut square at a random
place and scale, neither mirrored nor recoloured. Runs in a training process.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from app.core.errors import BadInput
from app.inference.cards import find_model, load_network, model_errors
from app.learning.batches import batches_from
from app.learning.evaluation import SAMPLES, score_of
from app.learning.pretraining_footage import Archive, ClipReader
from app.learning.recipes import Recipe
from app.learning.start import backbone_weights
from models import ModelCard, create_model
from models.endomamba import IMAGE_MEAN_RGB, IMAGE_STD_RGB, PretrainingEndoMamba
from models.endomamba.pretraining import (
    ALIGNMENT,
    Mask,
    PretrainingLoss,
    patch_targets,
    picked,
    tube_mask,
)
from models.training import Hooks, TrainConfig, Trainer, TrainResult

if TYPE_CHECKING:
    from numpy.random import Generator

SCALES = (1.0, 0.875, 0.75, 0.66)
"""Sides of the square that is cut out, as shares of the frame's shorter side."""

INDICES = "indices"
"""Folder in a run folder: indices of its recordings."""

HELD_OUT_CLIPS = 32
_SIZE_OPTIONS = ("size", "width", "depth", "image_size", "patch_size")


class Clips:
    """Examples by number: clips of an archive at the network's size, uint8 (T, H, W, 3)."""

    def __init__(
        self, recipe: Recipe, archive: Archive, seed: int, indices: Path | None = None
    ) -> None:
        self.size_px, self.seed = recipe.input_size_px, seed
        self.reader = ClipReader(
            archive,
            frames=int(recipe.data["frames"]),
            stride=int(recipe.data["stride"]),
            least_px=round(self.size_px[1] / SCALES[-1]),
            seed=seed,
            indices=indices,
        )

    def __call__(self, number: int) -> NDArray[np.uint8]:
        """The clip of this number."""
        rng = np.random.default_rng((self.seed, number, 1))
        return cut(self.reader.clip(number), self.size_px, rng)


def cut(clip: NDArray[np.uint8], size_px: tuple[int, int], rng: Generator) -> NDArray[np.uint8]:
    """A square of one of the scales at a random place, the same in all frames."""
    height, width = clip.shape[1:3]
    side = max(1, round(min(height, width) * SCALES[int(rng.integers(len(SCALES)))]))
    top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
    how = cv2.INTER_AREA if side > size_px[0] else cv2.INTER_LINEAR
    part = clip[:, top : top + side, left : left + side]
    return np.stack([cv2.resize(p, size_px, interpolation=how) for p in part])


def network_clips(clips: Sequence[NDArray[np.uint8]]) -> Tensor:
    """float32 (B, 3, T, H, W), normalised as EndoMamba takes them."""
    mean, std = (torch.tensor(v).view(1, 3, 1, 1, 1) for v in (IMAGE_MEAN_RGB, IMAGE_STD_RGB))
    rgb = torch.from_numpy(np.ascontiguousarray(np.stack(clips).transpose(0, 4, 1, 2, 3)))
    return rgb.float().div_(255).sub_(mean).div_(std)


def _joined(clips: Sequence[NDArray[np.uint8]]) -> tuple[Tensor, Tensor]:
    clip = network_clips(clips)
    return clip, clip


class PretrainingValidation:
    """Measures a network in eval mode on clips of held-out operations, the same ones each time.

    Attributes:
        score: the recipe's ``data.score``; empty keeps the last weights, as published: one held-out
            operation whose detail is noise would choose the first ones (seen).
    """

    def __init__(self, recipe: Recipe, held_out: Archive) -> None:
        self.score = score_of(recipe, ("", "explained"))
        self._clips = Clips(recipe, held_out, seed=1)
        self._drawn: list[tuple[Tensor, Mask]] = []

    @torch.no_grad()
    def __call__(self, network: PretrainingEndoMamba) -> dict[str, float]:
        """``reconstruction``, the loss, and ``explained``, the share of what is to be seen in the
        hidden patches that is guessed (1 is all, 0 is no better than a flat patch)."""
        error = detail = 0.0
        for clip, mask in self._material(network):
            clip = clip.to(_device(network))
            truth = picked(patch_targets(clip, network.patch_px), mask.hidden)
            error += (network(clip, mask).pixels.float() - truth).square().mean().item()
            detail += truth.square().mean().item()
        return {
            "explained": 1 - error / max(detail, 1e-9),
            "reconstruction": error / len(self._drawn),
        }

    @torch.no_grad()
    def samples(self, network: PretrainingEndoMamba | None) -> Iterator[NDArray[np.uint8]]:
        """See ``Evaluation.samples``: first frames, their hidden patches as guessed, with the
        colour and contrast that each truly has."""
        if network is None:
            for number in range(SAMPLES):
                yield _enlarged(self._clips(number)[0])
            self._clips.reader.close()
            return
        for clip, mask in self._material(network)[:SAMPLES]:
            clip = clip.to(_device(network))
            yield _enlarged(_completed(network, clip, mask))

    def _material(self, network: PretrainingEndoMamba) -> list[tuple[Tensor, Mask]]:
        if not self._drawn:
            generator = torch.Generator().manual_seed(1)
            for number in range(HELD_OUT_CLIPS):
                mask = tube_mask(1, network.patches, network.hidden_share, generator)
                self._drawn.append((network_clips([self._clips(number)]), mask))
            self._clips.reader.close()
        return self._drawn


def _completed(network: PretrainingEndoMamba, clip: Tensor, mask: Mask) -> NDArray[np.uint8]:
    """The first frame of a clip of one, its hidden patches as the network guesses them."""
    side, p = network.image_size // network.patch_px, network.patch_px
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (IMAGE_MEAN_RGB, IMAGE_STD_RGB))
    rgb = clip[0, :, 0].cpu() * std + mean
    guessed = network(clip, mask).pixels[0, 0].float().cpu()
    for place, values in zip(mask.hidden[0].tolist(), guessed, strict=True):
        y, x = place // side * p, place % side * p
        patch = rgb[:, y : y + p, x : x + p]
        flat = patch.flatten(1)
        told = values.view(p, p, 3).permute(2, 0, 1) * flat.std(1).view(3, 1, 1)
        patch.copy_(told + flat.mean(1).view(3, 1, 1))
    return (rgb.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().numpy()


def _enlarged(rgb: NDArray[np.uint8], least_px: int = 320) -> NDArray[np.uint8]:
    factor = max(1, -(-least_px // rgb.shape[1]))
    size = (rgb.shape[1] * factor, rgb.shape[0] * factor)
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_NEAREST), np.uint8)


def _device(network: nn.Module) -> torch.device:
    return next(network.parameters()).device


def train_backbone(
    recipe: Recipe,
    archive: Archive,
    run_folder: Path,
    *,
    network: nn.Module | None = None,
    device: str = "cpu",
    **hooks: Unpack[Hooks],
) -> TrainResult:
    """Pre-train a recipe's EndoMamba.

    Args:
        recipe: its ``data`` names ``frames`` and ``stride`` of a clip and, if wanted, ``seed``,
            ``workers``, ``teacher`` (the folder of a VideoMamba) and ``alignment`` (its weight).
        archive: what to learn from.
        run_folder, network, device: see ``app.learning.instruments.train_instruments``.
        hooks: see ``models.training.Hooks``.

    Raises:
        BadInput: the recipe lacks one of these, or its teacher does not fit the network.
    """
    for name in ("frames", "stride"):
        if int(recipe.data.get(name, 0)) < 1:
            raise BadInput(f"The recipe {recipe.name} lacks data.{name}, a number from 1 on.")
    if not archive:
        raise BadInput(f"{recipe.title} needs an archive; name its folder with --data.")
    config = TrainConfig(**recipe.train)
    torch.manual_seed(config.seed)
    network = network or create_model(recipe.system, **recipe.options)
    assert isinstance(network, PretrainingEndoMamba)  # noqa: S101 - the recipe's task says so
    teacher = _teacher_of(recipe, network)
    loss = PretrainingLoss(
        patch_px=network.patch_px,
        teacher=None if teacher is None else teacher.to(device),
        alignment=float(recipe.data.get("alignment", ALIGNMENT)),
    )
    trainer = Trainer(network.to(device), config, run_folder)
    trainer.resume()
    seed = int(recipe.data.get("seed", config.seed))
    clips = Clips(recipe, archive, seed, run_folder / INDICES)
    workers = int(recipe.data.get("workers", 1))
    try:
        return trainer.run(batches_from(clips, _joined, recipe.batch, workers), loss, **hooks)
    finally:
        clips.reader.close()


def _teacher_of(recipe: Recipe, network: PretrainingEndoMamba) -> nn.Module | None:
    """The frozen teacher that a recipe names.

    Raises:
        BadInput: it is no VideoMamba, or sees other clips or has other channels than the network.
    """
    named = str(recipe.data.get("teacher", ""))
    if not named:
        return None
    card = find_model(named, Path(named).parent)
    if card.system != "videomamba":
        raise BadInput(f"{card.name} is a {card.system}; the teacher must be a VideoMamba.")
    teacher = load_network(card)
    theirs = (teacher.width, teacher.frames, teacher.image_size, teacher.patch_embed.patch_px)
    ours = (
        network.encoder.width,
        int(recipe.data["frames"]),
        network.image_size,
        network.patch_px,
    )
    words = ("channels", "frames", "pixels a side", "pixels a patch")
    for word, has, wants in zip(words, theirs, ours, strict=True):
        if has != wants:
            raise BadInput(
                f"The teacher {card.name} has {has} {word}, the recipe {recipe.name} {wants}; "
                "choose another teacher or recipe."
            )
    return teacher.requires_grad_(requires_grad=False)


def start_from_backbone(base: ModelCard, recipe: Recipe) -> tuple[Recipe, nn.Module]:
    """A recipe of the size of an EndoMamba, and its network with that one's weights.

    Raises:
        BadInput: the model is of another system, or its weights are damaged.
    """
    if base.system != recipe.system:
        raise BadInput(f"{base.name} is a {base.system}; pre-training goes on from an EndoMamba.")
    sizes = {k: v for k, v in base.options.items() if k in _SIZE_OPTIONS}
    kept = {k: v for k, v in recipe.options.items() if k not in _SIZE_OPTIONS}
    plan = replace(recipe, options={**kept, **sizes}, input_size_px=base.input_size_px)
    torch.manual_seed(int(recipe.train.get("seed", 0)))
    with model_errors():
        network = create_model(plan.system, **plan.options)
        weights = {f"encoder.{k}": v for k, v in backbone_weights(base).items()}
    weights["encoder.pos_embed"] = weights["encoder.pos_embed"][:, 1:]
    own = network.state_dict()
    network.load_state_dict({k: v for k, v in weights.items() if k in own}, strict=False)
    return plan, network
