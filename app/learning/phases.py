"""Training a streaming phase network on windows of phantom operations or of labelled cases.

As the released phase model was trained: clips of a fixed number of frames with random gaps of some
seconds (specs: EndoMamba, downstream heads). Carrying the state through whole operations instead
was tried: with six streams the steps were so alike that the network unlearned (accuracy 0.39 after
440 steps). Runs in a training process.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import IterableDataset

from app.core.errors import BadInput
from app.learning.batches import Start, batches_from, generator_of, loaded, share_of
from app.learning.evaluation import score_of
from app.learning.film_clips import COLOUR, FilmClips, Join
from app.learning.filmed import LIBRARY, Filmed
from app.learning.phantom.script import write_procedure
from app.learning.phantom.video import PhantomVideo
from app.learning.recipes import Recipe
from app.learning.views import photometric
from models import create_model
from models.endomamba.training import PhaseLoss
from models.metrics.confusion import Confusion
from models.training import Hooks, TrainConfig, Trainer, TrainResult

DRAWN_SIZE_PX = (176, 99)
KEPT_WINDOWS = 400
# Held-out windows come from operations that no training run reaches.
HELD_OUT_FROM = 950_000
HELD_OUT_WINDOWS = 48


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Window:
    """Frames of one phantom operation, some seconds apart.

    Attributes:
        frames: uint8 (T, H, W, 3), the network's input size.
        labels: int64 (T,), class index of each frame.
    """

    frames: NDArray[np.uint8]
    labels: NDArray[np.int64]


def network_input(rgb: NDArray[np.uint8], size_px: tuple[int, int]) -> NDArray[np.uint8]:
    """The frame squashed to the network's square, as published phase networks do."""
    return cv2.resize(rgb, size_px, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def draw_window(rng: np.random.Generator, recipe: Recipe, procedure_seed: int) -> Window:
    """A window at a random place of an operation, its frames 1 to ``most_gap_s`` seconds apart.

    A phase is drawn by the root of its length, so that short ones are seen often enough.
    """
    length = int(recipe.data["window"])
    procedure = write_procedure(procedure_seed)
    gap_s = float(rng.uniform(1.0, float(recipe.data["most_gap_s"])))
    gap_s = min(gap_s, procedure.seconds / length)
    lengths = np.array([span.end_s - span.start_s for span in procedure.phases])
    shares = np.sqrt(lengths) / np.sqrt(lengths).sum()
    span = procedure.phases[int(rng.choice(len(shares), p=shares))]
    start_s = float(rng.uniform(span.start_s, span.end_s) - rng.random() * gap_s * length)
    start_s = min(max(start_s, 0.0), procedure.seconds - gap_s * length)
    video = PhantomVideo(
        procedure_seed,
        fps=1 / gap_s,
        size_px=DRAWN_SIZE_PX,
        start_s=start_s,
        seconds=gap_s * length,
        procedure=procedure,
    )
    frames, labels = [], []
    for frame in video:
        frames.append(network_input(frame.rgb, recipe.input_size_px))
        labels.append(recipe.classes.index(frame.phase))
    return Window(frames=np.stack(frames[:length]), labels=np.array(labels[:length], np.int64))


class _Windows(IterableDataset):  # type: ignore[misc]
    """Batches of windows from operations without end. Half of each batch is new; the other half
    comes from what was drawn before, seen through another mirror and other colours."""

    def __init__(self, recipe: Recipe, first: int) -> None:
        self.recipe, self.first = recipe, first
        self.mean = np.array(recipe.card["mean_rgb"], np.float32)
        self.std = np.array(recipe.card["std_rgb"], np.float32)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        recipe = self.recipe
        seed = int(recipe.data["seed"])
        rng, batch = generator_of(seed, self.first), share_of(recipe.batch)
        kept: list[Window] = []
        length = int(recipe.data["window"])
        while True:
            fresh: list[Window] = []
            wanted = batch if len(kept) < batch else (batch + 1) // 2
            while len(fresh) < wanted:
                number = int(rng.integers(int(recipe.data["operations"])))
                window = draw_window(rng, recipe, seed * 100_000 + number)
                if len(window.labels) == length:
                    fresh.append(window)
            again = [kept[int(i)] for i in rng.integers(len(kept) or 1, size=batch - wanted)]
            kept = (kept + fresh)[-KEPT_WINDOWS:]
            chosen = fresh + again
            clips = np.stack([self._seen(w, rng) for w in chosen])
            labels = np.stack([w.labels for w in chosen])
            yield torch.from_numpy(clips), torch.from_numpy(labels)

    def _seen(self, window: Window, rng: np.random.Generator) -> NDArray[np.float32]:
        """float32 (3, T, H, W), normalised, in one mirror and one look."""
        look = int(rng.integers(2**31))
        mirror = bool(rng.random() < 0.5)
        pictures = []
        for rgb in window.frames:
            picture = photometric(rgb, COLOUR, np.random.default_rng(look))
            pictures.append(picture[:, ::-1] if mirror else picture)
        values = (np.stack(pictures).astype(np.float32) / 255 - self.mean) / self.std
        return np.ascontiguousarray(values.transpose(3, 0, 1, 2))


class PhaseValidation:
    """Measures a network in eval mode on windows of held-out phantom operations.

    Attributes:
        score: the recipe's ``data.score``, else ``f1``, the mean over the phases.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe, self.score = recipe, score_of(recipe, ("f1", "accuracy"))
        self._drawn: list[Window] = []

    @torch.no_grad()
    def __call__(self, network: nn.Module) -> dict[str, float]:
        """``accuracy`` and ``f1`` over the frames of all windows."""
        if not self._drawn:
            self._drawn = [
                draw_window(
                    np.random.default_rng((HELD_OUT_FROM, n)), self.recipe, HELD_OUT_FROM + n
                )
                for n in range(HELD_OUT_WINDOWS)
            ]
        table, device = Confusion(self.recipe.classes), next(network.parameters()).device
        mean, std = (np.array(self.recipe.card[k], np.float32) for k in ("mean_rgb", "std_rgb"))
        for window in self._drawn:
            clip = ((window.frames.astype(np.float32) / 255 - mean) / std).transpose(3, 0, 1, 2)
            said = network(torch.from_numpy(np.ascontiguousarray(clip))[None].to(device))
            table.add(window.labels, said[0].argmax(-1).cpu().numpy())
        figures = table.figures()
        return {name: float(figures[name]) for name in ("accuracy", "f1")}

    def samples(self, network: nn.Module | None) -> Iterator[NDArray[np.uint8]]:
        """None: a phase is not to be seen in a picture."""
        del network
        yield from ()


def train_phases(
    recipe: Recipe,
    films: Sequence[Filmed],
    run_folder: Path,
    *,
    network: nn.Module | None = None,
    device: str = "cpu",
    **hooks: Unpack[Hooks],
) -> TrainResult:
    """Train a recipe's EndoMamba on labelled cases, or where there are none on phantom operations.

    Args:
        recipe: its ``data`` names ``window`` (frames), ``most_gap_s`` (seconds between two), of
            the phantom ``seed`` and ``operations`` (how many different ones), of labelled cases
            if wanted what ``FilmClips`` and ``Join`` take and ``workers``; and, if wanted,
            ``class_weights``, ``label_smoothing`` and ``smoothness`` (see ``PhaseLoss``).
        films: labelled cases.
        run_folder, network, device: see ``app.learning.instruments.train_instruments``.
        hooks: see ``models.training.Hooks``.

    Raises:
        BadInput: the recipe lacks one of these, or is of labelled cases and there are none.
    """
    is_phantom = recipe.data.get("source") != LIBRARY
    drawn = ("seed", "operations") if is_phantom else ()
    needed = {"data": ("window", "most_gap_s", *drawn), "card": ("mean_rgb", "std_rgb")}
    for table, names in needed.items():
        for name in names:
            if name not in getattr(recipe, table):
                raise BadInput(f"The recipe {recipe.name} lacks {table}.{name}.")
    config = TrainConfig(**recipe.train)
    torch.manual_seed(config.seed)
    network = network or create_model(recipe.system, **{**recipe.options, "state_reset": "none"})
    loss = PhaseLoss(
        label_smoothing=float(recipe.data.get("label_smoothing", 0.05)),
        class_weights=recipe.data.get("class_weights"),
        smoothness=float(recipe.data.get("smoothness", 0.0)),
    )
    trainer = Trainer(network.to(device), config, run_folder)
    trainer.resume()
    return trainer.run(_phantom(recipe) if is_phantom else _filmed(recipe, films), loss, **hooks)


def _phantom(recipe: Recipe) -> Start:
    return lambda first: loaded(_Windows(recipe, first))


def _filmed(recipe: Recipe, films: Sequence[Filmed]) -> Start:
    named = [film for film in films if (film.labels >= 0).any()]
    if not named:
        raise BadInput(f"{recipe.title} learns from cases with phases by a human; there are none.")
    workers = int(recipe.data.get("workers", 1))
    mixed = {name: float(recipe.data.get(name, 0.0)) for name in ("mixup", "cutmix")}
    return batches_from(FilmClips(recipe, named), Join(**mixed), recipe.batch, workers)
