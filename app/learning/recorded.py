"""Operations as a network of frame features sees them: one vector a sample, and the phase of each.

Those of the phantom are drawn, looked at once by the encoder and kept in a folder, since drawing
takes most of the time. Runs in a training process or on a command's thread.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from app.inference.cards import load_network
from app.inference.preprocess import resized
from app.learning.phantom import PhantomVideo
from app.learning.phantom.script import write_procedure

if TYPE_CHECKING:
    from torch import nn

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


def encoded(
    card: ModelCard, pictures: Iterable[NDArray[np.uint8]]
) -> tuple[NDArray[np.float16], NDArray[np.float32]]:
    """What ``PhaseStream`` says of pictures in order of time, in fewer, longer steps.

    Returns:
        Features (T, C) and probabilities (T, K).
    """
    said = said_of(load_network(card), pictures, card.input_size_px, card.mean_rgb, card.std_rgb)
    return said.features, said.probabilities


class Said(NamedTuple):
    """What a network that follows pictures says of some.

    Attributes:
        features: float16 (T, C).
        probabilities: float32 (T, K), of phases.
        tools: float32 (T, M), probability of each tool's presence; (T, 0) where it tells none.
    """

    features: NDArray[np.float16]
    probabilities: NDArray[np.float32]
    tools: NDArray[np.float32]


@torch.inference_mode()
def said_of(
    network: nn.Module,
    pictures: Iterable[NDArray[np.uint8]],
    size_px: tuple[int, int],
    mean_rgb: Sequence[float],
    std_rgb: Sequence[float],
) -> Said:
    """A network's answers to pictures in order of time, through its carried state.

    Args:
        network: in eval mode, on any device.
        pictures: uint8 (H, W, 3), at least one.
        size_px, mean_rgb, std_rgb: of its input.
    """
    device = next(network.parameters()).device
    advance: Any = network.advance
    mean, std = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in (mean_rgb, std_rgb))
    state: Any = None
    found: list[tuple[NDArray[np.float16], NDArray[np.float32], NDArray[np.float32]]] = []
    waiting = iter(pictures)
    while some := list(islice(waiting, _AT_ONCE)):
        clip = torch.from_numpy(np.stack([resized(rgb, *size_px) for rgb in some])).to(device)
        frames = (clip.permute(0, 3, 1, 2).float() / 255 - mean) / std
        said = advance(frames.transpose(0, 1)[None], state)
        state = said.state
        tools = (
            said.tools[0].float().sigmoid()
            if hasattr(said, "tools")
            else clip.new_zeros(len(some), 0)
        )
        found.append(
            (
                said.features[0].half().cpu().numpy(),
                said.logits[0].float().softmax(-1).cpu().numpy(),
                tools.cpu().numpy(),
            )
        )
    features, probabilities, presence = zip(*found, strict=True)
    return Said(np.concatenate(features), np.concatenate(probabilities), np.concatenate(presence))


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
