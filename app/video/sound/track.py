"""The sound of a whole recording, over the joins of its files. One thread at a time."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from app.core.case import Asset, Part
from app.core.errors import TrocarError
from app.video.sound.file import Samples, SoundFile, silence

log = logging.getLogger(__name__)


class SoundTrack:
    """A recording's sound in the recording's own time: 0 ms is its first frame.

    Args:
        asset: the recording, one file or several.
        rate_hz: of the samples handed out.
        choice: which of a file's sound tracks.
    """

    def __init__(self, asset: Asset, rate_hz: int, choice: int = 0) -> None:
        self._rate_hz, self._choice = rate_hz, choice
        self._files = asset.files
        self._starts = [self._sample(asset.time_ms(f.first_pts)) for f in asset.files]
        self._at = 0
        self._open: tuple[int, SoundFile | None] | None = None

    def close(self) -> None:
        """Release the files."""
        if self._open is not None and self._open[1] is not None:
            self._open[1].close()
        self._open = None

    @property
    def position_ms(self) -> float:
        """Of the next sample, from the recording's first frame."""
        return self._at * 1000 / self._rate_hz

    def seek(self, time_ms: float) -> None:
        """Go to a moment of the recording."""
        self._at = self._sample(time_ms)
        self._enter(self._part(), seek=True)

    def read(self, count: int) -> Samples:
        """The next ``count`` samples: float32 (count, 2); silence before, after and in gaps."""
        pieces = []
        while count > 0:
            part = self._part()
            last = part == len(self._starts) - 1
            some = count if last else min(count, self._starts[part + 1] - self._at)
            file = self._enter(part)
            pieces.append(silence(some) if file is None else file.read(some))
            self._at += some
            count -= some
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def _sample(self, time_ms: float) -> int:
        return round(time_ms * self._rate_hz / 1000)

    def _part(self) -> int:
        return max(0, int(np.searchsorted(self._starts, self._at, side="right")) - 1)

    def _enter(self, number: int, *, seek: bool = False) -> SoundFile | None:
        """The file of a part, standing at the position; None where it has no sound."""
        if self._open is None or self._open[0] != number:
            self.close()
            self._open, seek = (number, self._opened(self._files[number])), True
        file = self._open[1]
        if seek and file is not None:
            part = self._files[number]
            within_s = (self._at - self._starts[number]) / self._rate_hz
            file.seek(float(part.start_pts * part.time_base) + within_s)
        return file

    def _opened(self, part: Part) -> SoundFile | None:
        try:
            return SoundFile(Path(part.path), self._rate_hz, self._choice)
        except (TrocarError, OSError) as error:  # OSError: it goes away in this moment
            log.info("a part has no sound: %s", type(error).__name__)
            return None
