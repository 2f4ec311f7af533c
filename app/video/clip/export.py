"""An excerpt of a recording as a file of its own. Runs on the caller's thread.

It begins and ends with the frames that were asked for. Packets are copied where the cut lets them
stand alone, and what was written is opened and compared with the original; everything else is
encoded anew. Nothing of the original's metadata, data or subtitle streams goes along.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from app.core.errors import BadInput, EnvironmentProblem, Refused
from app.core.frame import Frame
from app.video.clip.copy import NotCopied, copy_packets, copyable_stretch
from app.video.clip.encode import ClipCancelled, encode_frames
from app.video.file_source import FileSource
from app.video.source import VideoSource
from app.video.written_whole import written_whole

CLIP_CONTAINERS = (".mp4", ".mov", ".mkv")

Draw = Callable[[Frame], NDArray[np.uint8]]
Progress = Callable[[int, int], None]

log = logging.getLogger(__name__)

__all__ = ["CLIP_CONTAINERS", "Clip", "ClipCancelled", "frames_between", "write_clip"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """What was written.

    Attributes:
        path: the file.
        first, last: display indices in the recording of its first and last frame.
        lossless: the packets are the recording's own.
        repeated: frames that did not decode, in whose place the one before them is shown.
        sound: whether it has sound.
    """

    path: Path
    first: int
    last: int
    lossless: bool
    repeated: int = 0
    sound: bool = False

    @property
    def frames(self) -> int:
        """How many frames it holds."""
        return self.last - self.first + 1


def frames_between(source: VideoSource, from_s: float, to_s: float) -> tuple[int, int]:
    """First and last display index of a stretch of time.

    Args:
        source: the recording.
        from_s: seconds from its first frame; the frame on screen then is the first.
        to_s: seconds; the last frame is the one on screen just before.

    Raises:
        BadInput: the stretch is empty or not within the recording.
    """
    length_s = source.info.duration_ms / 1000
    if not 0 <= from_s < to_s:
        raise BadInput(f"A clip cannot go from {from_s:g} to {to_s:g} seconds; give a later end.")
    if from_s >= length_s or to_s > length_s + 0.5:
        raise BadInput(
            f"{source.path.name} is {length_s:.3f} seconds long; it has no clip from {from_s:g} to "
            f"{to_s:g}."
        )
    first, last = source.index_at_ms(from_s * 1000), source.index_at_ms(to_s * 1000)
    if last > first and source.time_ms(last) >= to_s * 1000 - 1.0:
        last -= 1
    return first, last


def write_clip(
    source: VideoSource,
    first: int,
    last: int,
    path: Path,
    *,
    draw: Draw | None = None,
    exact: bool = True,
    sound: bool = False,
    progress: Progress = lambda _done, _all: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Clip:
    """Write the frames ``first`` to ``last``; the file has its name only when it is whole.

    Args:
        source: the recording.
        first, last: display indices, both included.
        path: the file; its suffix chooses the container.
        draw: makes the picture that is written of a frame: uint8 (H, W, 3) of its raster.
        exact: encode anew where the cut does not fall where packets can be copied; else the clip
            grows to the nearest places where they can.
        sound: keep the sound; it is left out by default, for theatre talk is sensitive.
        progress: told frames done and frames to do.
        cancelled: asked between frames.

    Raises:
        BadInput: no such frames, a container that is not known, a picture that changes its size.
        Refused: it would take the recording's own place, or cannot be copied where it must be.
        EnvironmentProblem: the file cannot be written.
        ClipCancelled: ``cancelled()`` answered true; nothing is left.
    """
    _check(source, first, last, path)
    if not exact and draw is not None:
        raise Refused("A clip with its overlay is encoded anew; leave one of the two out.")
    if sound and not isinstance(source, FileSource):
        raise Refused(f"The sound of {source.path.name} cannot go along; save the clip without it.")
    with written_whole(path) as part:
        clip = None
        if draw is None:
            clip = _copied(source, first, last, part, path, exact, sound, progress, cancelled)
        if clip is None and not exact:
            raise Refused(
                f"This stretch of {source.path.name} cannot be cut without encoding it anew; save "
                "an exact clip instead."
            )
        if clip is None:
            clip = _encoded(source, first, last, part, path, draw, sound, progress, cancelled)
    return clip


def _check(source: VideoSource, first: int, last: int, path: Path) -> None:
    if not 0 <= first <= last < len(source):
        raise BadInput(
            f"{source.path.name} has the frames 0 to {len(source) - 1}; it has no clip from "
            f"{first} to {last}."
        )
    if path.suffix.lower() not in CLIP_CONTAINERS:
        known = ", ".join(CLIP_CONTAINERS)
        raise BadInput(f"{path.name} cannot be written; name it with one of {known}.")
    if any(path.exists() and file.exists() and path.samefile(file) for file in source.files):
        raise Refused(f"{path.name} is the recording itself; give the clip another name.")
    if not path.parent.is_dir():
        raise EnvironmentProblem(f"The folder of {path.name} is not there; choose one that is.")


def _copied(
    source: VideoSource,
    first: int,
    last: int,
    part: Path,
    path: Path,
    exact: bool,
    sound: bool,
    progress: Progress,
    cancelled: Callable[[], bool],
) -> Clip | None:
    """The clip as copied packets, checked against the recording; None where that cannot be."""
    stretch = copyable_stretch(source, first, last)
    if stretch is None or (exact and stretch != (first, last)):
        return None
    try:
        copy_packets(source, *stretch, part, sound=sound, progress=progress, cancelled=cancelled)
        has_sound = _compare(source, stretch, part)
    except (NotCopied, BadInput, av.error.InvalidDataError, av.error.ArgumentError) as error:
        log.info("the stretch is encoded anew: %s", error)
        return None
    return Clip(path=path, first=stretch[0], last=stretch[1], lossless=True, sound=has_sound)


def _compare(source: VideoSource, stretch: tuple[int, int], part: Path) -> bool:
    """Open the copy and compare count, times and pictures; returns whether it has sound.

    Fields are compared as they are stored: deinterlaced, a picture leans on its neighbours, and the
    first and the last of a clip have lost one.
    """
    first, last = stretch
    count = last - first + 1
    with (
        FileSource(part, deinterlace=False) as copy,
        FileSource(
            source.path, index=source.index, stream=source.info.stream, deinterlace=False
        ) as original,
    ):
        if len(copy) != count:
            raise NotCopied(f"{len(copy)} frames instead of {count}")
        zero = source.time_ms(first)
        wanted = np.array([source.time_ms(i) - zero for i in range(first, last + 1)])
        got = np.array([copy.time_ms(i) for i in range(count)])
        if np.abs(wanted - got).max() > 1.0:
            raise NotCopied("other times")
        if copy.info.pixel_aspect != original.info.pixel_aspect:
            raise NotCopied("another pixel aspect")
        for at in sorted({0, count // 2, count - 1}):
            if not np.array_equal(copy.frame(at).rgb, original.frame(first + at).rgb):
                raise NotCopied(f"another picture at {at}")
        return any(s.kind == "audio" for s in copy.info.streams)


def _encoded(
    source: VideoSource,
    first: int,
    last: int,
    part: Path,
    path: Path,
    draw: Draw | None,
    sound: bool,
    progress: Progress,
    cancelled: Callable[[], bool],
) -> Clip:
    repeated = encode_frames(
        source,
        first,
        last,
        part,
        draw=draw,
        sound=sound,
        progress=progress,
        cancelled=cancelled,
    )
    with FileSource(part) as made:
        if len(made) != last - first + 1:
            raise EnvironmentProblem(
                f"{path.name} was not written whole; try another folder.",
                f"{len(made)} frames instead of {last - first + 1}",
            )
        has_sound = any(s.kind == "audio" for s in made.info.streams)
    return Clip(
        path=path, first=first, last=last, lossless=False, repeated=repeated, sound=has_sound
    )
