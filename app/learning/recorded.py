"""Operations as a network of frame features sees them: one vector a sample, and the phase of each.

Those of the phantom are drawn, looked at once by the encoder and kept in a folder, since drawing
takes most of the time. Runs in a training process or on a command's thread.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from app.inference.cards import load_network
from app.inference.engines.eager import normalised
from app.inference.preprocess import resized
from app.learning.phantom import PhantomVideo
from app.learning.phantom.script import write_procedure

if TYPE_CHECKING:
    from models import ModelCard

_AT_ONCE = 32


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recorded:
    """One operation.

    Attributes:
        name: of the operation; nothing of one may be learnt from and measured on.
        features: float16 (T, C), in order of time.
        labels: int64 (T,), index of the phase that runs, negative where it is not known.
        probabilities: float32 (T, K), what the encoder itself answered; (T, 0) where it is not
            known.
        group: as of pictures; an operation is its own.
    """

    name: str
    features: NDArray[np.float16]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    group: str = ""


def phantom_recordings(
    card: ModelCard,
    seeds: Iterable[int],
    folder: Path,
    size_px: tuple[int, int],
    *,
    longest_phase_s: int | None = None,
    on_done: Callable[[int], object] = lambda _: None,
) -> list[Recorded]:
    """Whole phantom operations through an encoder, each drawn once for a folder.

    Args:
        card: of the encoder, which names phases too.
        seeds: of the operations.
        folder: where they are kept.
        size_px: width and height that they are drawn at.
        longest_phase_s: phases are cut to this; None for operations as they go on.
        on_done: told how many are there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for seed in seeds:
        name = f"phantom-{seed}" + (f"-{longest_phase_s}s" if longest_phase_s else "")
        path = folder / f"{name}-{size_px[0]}x{size_px[1]}-{card.weights_sha256[:12]}.npz"
        one = _kept(path, name)
        if one is None:
            procedure = write_procedure(seed, longest_phase_s)
            video = PhantomVideo(
                seed, fps=card.frames_per_second or 1.0, size_px=size_px, procedure=procedure
            )
            one = _drawn(card, name, video)
            _keep(path, one)
        found.append(one)
        on_done(len(found))
    return found


def _drawn(card: ModelCard, name: str, video: PhantomVideo) -> Recorded:
    labels: list[int] = []

    def pictures() -> Iterator[NDArray[np.uint8]]:
        for frame in video:
            labels.append(card.class_keys.index(frame.phase))
            yield frame.rgb

    features, probabilities = encoded(card, pictures())
    return Recorded(
        name=name,
        features=features,
        labels=np.array(labels, np.int64),
        probabilities=probabilities,
    )


@torch.inference_mode()
def encoded(
    card: ModelCard, pictures: Iterable[NDArray[np.uint8]]
) -> tuple[NDArray[np.float16], NDArray[np.float32]]:
    """What ``PhaseStream`` says of pictures in order of time, in fewer, longer steps.

    Returns:
        Features (T, C) and probabilities (T, K).
    """
    network = load_network(card)
    state, features, probabilities = None, [], []
    waiting = iter(pictures)
    while some := list(islice(waiting, _AT_ONCE)):
        clip = np.stack([resized(rgb, *card.input_size_px) for rgb in some])
        frames = torch.from_numpy(clip).permute(0, 3, 1, 2)
        frames = normalised(frames.float().contiguous(), card)
        said = network.advance(frames.transpose(0, 1)[None], state)
        state = said.state
        features.append(said.features[0].half().numpy())
        probabilities.append(said.logits[0].float().softmax(-1).numpy())
    return np.concatenate(features), np.concatenate(probabilities)


def _kept(path: Path, name: str) -> Recorded | None:
    """What was kept before; None where there is nothing, or nothing that can be read."""
    if not path.is_file():
        return None
    try:
        # A file that numpy itself opens stays open where it turns out to be damaged.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return Recorded(
                name=name,
                features=arrays["features"],
                labels=arrays["labels"],
                probabilities=arrays["probabilities"],
            )
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None  # cut off as it was written: drawn anew


def _keep(path: Path, one: Recorded) -> None:
    beside = path.with_suffix(".part")
    with beside.open("wb") as out:
        np.savez(out, features=one.features, labels=one.labels, probabilities=one.probabilities)
    beside.replace(path)
