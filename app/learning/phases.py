"""Training a streaming phase network on phantom operations, one second after the other.

Every stream of a batch runs through whole operations; the network's state is carried from chunk to
chunk and its gradient cut there (truncated back-propagation through time), so that it learns to
remember what lies minutes back. Runs in a training process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from app.learning.phantom.video import PhantomVideo
from app.learning.recipes import Recipe
from app.learning.views import Augmentation, photometric
from models import create_model
from models.endomamba.network import EndoMamba
from models.endomamba.state import State
from models.endomamba.training import PhaseLoss
from models.training import Progress, TrainConfig, Trainer, TrainResult

if TYPE_CHECKING:
    from collections.abc import Mapping

DRAWN_SIZE_PX = (176, 99)
COLOUR = Augmentation(hue=4, saturation=0.2, brightness=0.2, blur_px=0.0, jpeg=50)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Operation:
    """One phantom operation at one frame a second.

    Attributes:
        frames: JPEG of each second.
        labels: int64 (S,), class index of each second.
    """

    frames: tuple[bytes, ...]
    labels: NDArray[np.int64]


def draw_operation(seed: int, classes: Sequence[str]) -> Iterator[tuple[bytes, int]]:
    """JPEG and class index of every second of the operation of a seed."""
    for frame in PhantomVideo(seed, fps=1, size_px=DRAWN_SIZE_PX):
        bgr = cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2BGR)
        _, data = cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, 88))
        yield data.tobytes(), classes.index(frame.phase)


def network_input(rgb: NDArray[np.uint8], size_px: tuple[int, int]) -> NDArray[np.uint8]:
    """The frame squashed to the network's square, as published phase networks do."""
    return cv2.resize(rgb, size_px, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chunk:
    """Inputs of one step.

    Attributes:
        clip: float32 (B, 3, T, H, W), normalised.
        fresh: bool (B,), streams whose operation begins with this chunk.
    """

    clip: Tensor
    fresh: Tensor

    @property
    def ndim(self) -> int:
        """Of the clip; the training loop asks."""
        return self.clip.ndim

    def to(self, device: torch.device) -> Chunk:
        """The same on another device."""
        return Chunk(clip=self.clip.to(device), fresh=self.fresh.to(device))


class Carried(nn.Module):
    """A network with the streams' state between steps. Positions are frozen, so streams may start
    at different steps."""

    def __init__(self, network: EndoMamba) -> None:
        super().__init__()
        self.network = network
        self.state: State | None = None

    def forward(self, chunk: Chunk) -> Tensor:
        """Logits (B, T, K)."""
        state = self.state
        if state is not None:
            keep = (~chunk.fresh).to(state.conv)[None, :, None, None]
            state = State(conv=state.conv * keep, ssm=state.ssm * keep, frames=state.frames)
        out = self.network.advance(chunk.clip, state)
        self.state = out.state.detach()
        return out.logits


class _Streams(IterableDataset):  # type: ignore[misc]
    """Batches of chunks from a pool of operations that grows while training goes on."""

    def __init__(self, recipe: Recipe, first: int) -> None:
        self.classes, self.size_px = recipe.classes, recipe.input_size_px
        self.batch = recipe.batch
        self.length = int(recipe.data["chunk"])
        self.pool_size = int(recipe.data["operations"])
        self.seed = int(recipe.data["seed"])
        self.first = first
        self.mean = np.array(recipe.card["mean_rgb"], np.float32)
        self.std = np.array(recipe.card["std_rgb"], np.float32)

    def __iter__(self) -> Iterator[tuple[Chunk, Tensor]]:
        rng = np.random.default_rng((self.seed, self.first))
        pool: list[Operation] = []
        drawing = self._draw()
        while len(pool) < min(3, self.pool_size):
            pool.append(next(drawing))  # type: ignore[arg-type]
        streams = [self._stream(pool, rng) for _ in range(self.batch)]
        while True:
            parts = [next(s) for s in streams]
            clip = np.stack([p[0] for p in parts])
            labels = np.stack([p[1] for p in parts])
            fresh = np.array([p[2] for p in parts])
            yield (
                Chunk(clip=torch.from_numpy(clip), fresh=torch.from_numpy(fresh)),
                torch.from_numpy(labels),
            )
            if len(pool) < self.pool_size:
                for _ in range(self.batch * self.length // 2):
                    done = next(drawing)
                    if done is not None:
                        pool.append(done)
                        break

    def _draw(self) -> Iterator[Operation | None]:
        """Draw one second per turn; an operation each time one is whole, None in between."""
        for number in range(self.pool_size):
            frames, labels = [], []
            for data, label in draw_operation(self.seed * 100_000 + number, self.classes):
                frames.append(data)
                labels.append(label)
                if number >= 3:
                    yield None
            yield Operation(frames=tuple(frames), labels=np.array(labels, np.int64))

    def _stream(
        self, pool: list[Operation], rng: np.random.Generator
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64], bool]]:
        """Chunks of one operation after the other, each seen through a mirror or not."""
        while True:
            operation = pool[int(rng.integers(len(pool)))]
            mirror = bool(rng.random() < 0.5)
            seconds = len(operation.frames)
            # Half of the passes begin in the middle, as a clip dropped on the window does.
            start = int(rng.integers(seconds // 2)) if rng.random() < 0.5 else 0
            fresh = True
            while start + self.length <= seconds:
                look = np.random.default_rng(int(rng.integers(2**31)))
                chosen = range(start, start + self.length)
                pictures = [
                    self._picture(operation.frames[s], mirror=mirror, look=look) for s in chosen
                ]
                clip = np.stack(pictures, axis=1)
                yield clip, operation.labels[start : start + self.length], fresh
                fresh = False
                start += self.length

    def _picture(
        self, data: bytes, *, mirror: bool, look: np.random.Generator
    ) -> NDArray[np.float32]:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        rgb = network_input(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), self.size_px)
        rgb = photometric(rgb, COLOUR, look)
        if mirror:
            rgb = rgb[:, ::-1]
        return ((rgb.astype(np.float32) / 255 - self.mean) / self.std).transpose(2, 0, 1)


def _single_thread(_worker: int) -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def train_phases(
    recipe: Recipe,
    run_folder: Path,
    *,
    network: nn.Module | None = None,
    on_progress: Callable[[Progress], None],
    should_stop: Callable[[], bool],
) -> TrainResult:
    """Train a recipe's EndoMamba on phantom operations.

    Args:
        recipe: its ``data`` names ``seed``, ``operations`` (how many are drawn in all) and
            ``chunk`` (seconds per step and stream); ``class_weights`` are optional.
        run_folder, network, on_progress, should_stop: see ``models.training.Trainer.run``.
    """
    config = TrainConfig(**recipe.train)
    torch.manual_seed(config.seed)
    network = network or create_model(recipe.system, **recipe.options)
    if not isinstance(network, EndoMamba):
        raise TypeError("this recipe trains EndoMamba")
    data: Mapping[str, object] = recipe.data
    weights = data.get("class_weights")
    loss = PhaseLoss(
        label_smoothing=0.05,
        class_weights=[float(w) for w in weights] if isinstance(weights, list) else None,
        smoothness=float(str(data.get("smoothness", 0.0))),
    )
    trainer = Trainer(Carried(network), config, run_folder)
    trainer.resume()

    def batches(first: int) -> Iterator[tuple[Chunk, Tensor]]:
        loader = DataLoader(
            _Streams(recipe, first),
            batch_size=None,
            num_workers=1,
            prefetch_factor=4,
            worker_init_fn=_single_thread,
            # A fork would copy torch's and OpenCV's locks as they happen to stand.
            multiprocessing_context="spawn",
        )
        return iter(loader)

    result = trainer.run(batches, loss, on_progress=on_progress, should_stop=should_stop)  # type: ignore[arg-type]
    from dataclasses import replace

    inner = result.network.network if isinstance(result.network, Carried) else result.network
    return replace(result, network=inner)
