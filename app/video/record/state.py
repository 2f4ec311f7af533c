"""What a recorder says of its work; immutable, passed between threads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from app.core.recording import LIVE_TIME_BASE


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingState:
    """Where a recording stands.

    Attributes:
        path: the file.
        is_running: packets are being written.
        frames, bytes: written so far.
        first_pts, last_pts: lowest and highest pts written, None before the first picture.
        waiting_s: how much has come and is not written yet.
        seconds_left: of recording that the disk has room for, None until the rate is known.
        sentence: for the user, "" while all is well: little room, a slow disk, why it stopped.
        stopped_early: the recorder stopped by itself; ``sentence`` says why.
        unwritable: packets so damaged that no file can hold them.
        is_copy: the source's own packets are kept, else they are encoded as H.264.
        sha256: of the bytes written, once it is stopped.
    """

    path: Path
    is_running: bool = False
    frames: int = 0
    bytes: int = 0
    first_pts: int | None = None
    last_pts: int | None = None
    waiting_s: float = 0.0
    seconds_left: float | None = None
    sentence: str = ""
    stopped_early: bool = False
    unwritable: int = 0
    is_copy: bool = True
    sha256: str = ""

    @property
    def length_s(self) -> float:
        """From the first picture to the last one."""
        if self.first_pts is None or self.last_pts is None:
            return 0.0
        return float((self.last_pts - self.first_pts) * LIVE_TIME_BASE)
