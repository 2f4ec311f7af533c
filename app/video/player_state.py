"""What a player says of itself; immutable, handed from the decode thread to others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from app.core.frame import Frame
from app.video.info import VideoInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownFrame:
    """What the picture on screen is.

    Attributes:
        path: the file it is of.
        frame: the picture.
        index: the frame that was asked for.
        exact: the picture is that frame; else a keyframe on the way to it, or, where the frame
            does not decode, the last good picture.
    """

    path: Path
    frame: Frame
    index: int
    exact: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayerState:
    """Where the player stands.

    Attributes:
        path: the file that is open or being opened, None without one.
        info: of the open file, None without one.
        playing: whether the clock runs.
        speed: 0.1 to 16, negative backwards.
        index: the frame on screen, or asked for.
        shown: frames shown since the file was opened.
        dropped: late frames left out while playing.
        undecodable: frames that did not decode.
        lost: indices of the frames that were met and did not decode.
        at_end: playing forwards reached the last frame.
        is_whole: all frames of the recording are known; else ``info`` tells of the known ones.
        grows: more of them may become known; not where the file could not be read on.
        estimated_ms: how long it is, as far as can be told while it is not whole.
        awaits: a frame beyond the known ones was asked for; it is shown once it is known.
        loop: first and last frame of what is played over and over, None without a loop.
    """

    path: Path | None = None
    info: VideoInfo | None = None
    playing: bool = False
    speed: float = 1.0
    index: int = 0
    shown: int = 0
    dropped: int = 0
    undecodable: int = 0
    lost: frozenset[int] = frozenset()
    at_end: bool = False
    is_whole: bool = True
    grows: bool = False
    estimated_ms: float = 0.0
    awaits: bool = False
    loop: tuple[int, int] | None = None
