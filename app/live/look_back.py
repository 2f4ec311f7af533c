"""Watching what was recorded a moment ago while the recording goes on. Thread ``trocar-look-back``.

The file grows under the reader: it is opened as far as it has come, and opened again where what is
wanted lies beyond that.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from app.core.errors import TrocarError
from app.core.frame import Frame
from app.video import SeekCancelled, UndecodableFrame, VideoSource

log = logging.getLogger(__name__)

NEAR_MS = 700.0
"""Nearer to the live edge than this, the live picture itself is shown."""


class LookBack:
    """A player behind the live picture. Methods return at once; the newest wish counts.

    Args:
        open_recording: the recording as far as it has come; asked on this thread.
        on_frame: an exact frame of it.
        on_edge: playing has come up with the live edge.
        on_error: the recording cannot be read.
    """

    def __init__(
        self,
        open_recording: Callable[[], VideoSource],
        *,
        on_frame: Callable[[Frame], None],
        on_edge: Callable[[], None],
        on_error: Callable[[TrocarError], None],
    ) -> None:
        self._open, self._on_frame = open_recording, on_frame
        self._on_edge, self._on_error = on_edge, on_error
        self._changed = threading.Condition()
        self._wanted_pts: int | None = None
        self._playing = False
        self._going = False
        self._closing = False
        self._source: VideoSource | None = None
        self._at = 0
        self._anchor = (0.0, 0.0)
        self._thread = threading.Thread(target=self._run, name="trocar-look-back", daemon=True)
        self._thread.start()

    @property
    def playing(self) -> bool:
        """Whether it goes on by itself."""
        return self._playing

    @property
    def seeking(self) -> bool:
        """Whether a picture that was asked for is still to come."""
        return self._going or self._wanted_pts is not None

    def seek(self, pts: int) -> None:
        """Show the picture that was on screen at ``pts`` (1/90000)."""
        with self._changed:
            self._wanted_pts = pts
            self._changed.notify()

    def play(self, *, playing: bool) -> None:
        """Go on from the picture shown, or stand still."""
        with self._changed:
            self._playing = playing
            self._anchor = (time.monotonic(), self._shown_ms())
            self._changed.notify()

    def close(self, *, wait: bool = True) -> None:
        """End the thread; no callback begins after this. Waits for it, where asked."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if wait and threading.current_thread() is not self._thread:
            self._thread.join()

    # On its own thread.

    def _run(self) -> None:
        try:
            while not self._closing:
                if not self._step():
                    break
        except TrocarError as error:
            log.info("looking back failed: %s", error.detail)
            if not self._closing:
                self._on_error(error)
        finally:
            if self._source is not None:
                self._source.close()

    def _step(self) -> bool:
        """One wish served or one frame played; False at the end."""
        with self._changed:
            while self._wanted_pts is None and not self._playing and not self._closing:
                self._changed.wait()
            self._going = self._wanted_pts is not None
            wanted, self._wanted_pts = self._wanted_pts, None
        if self._closing:
            return False
        try:
            if wanted is not None:
                self._go_to(wanted)
            else:
                self._play_on()
        except SeekCancelled:
            pass
        return True

    def _go_to(self, pts: int) -> None:
        source = self._source
        if source is None or pts > int(source.index.pts[-1]):
            source = self._open_again()
        first = int(source.index.pts[0])
        ms = 1000 * float((pts - first) * source.info.time_base)
        self._show(source, source.index_at_ms(max(0.0, ms)))
        with self._changed:
            self._anchor = (time.monotonic(), self._shown_ms())

    def _play_on(self) -> None:
        source = self._source or self._open_again()
        began_s, from_ms = self._anchor
        due_ms = from_ms + 1000 * (time.monotonic() - began_s)
        if due_ms > source.time_ms(len(source) - 1) - NEAR_MS:
            source = self._open_again()
            if due_ms > source.time_ms(len(source) - 1) - NEAR_MS:
                self._playing = False
                if not self._closing:
                    self._on_edge()
                return
        index = source.index_at_ms(due_ms)
        if index != self._at:
            self._show(source, index)
        next_ms = source.time_ms(min(self._at + 1, len(source) - 1))
        with self._changed:
            if self._wanted_pts is None and self._playing and not self._closing:
                began_s, from_ms = self._anchor
                wait_s = (next_ms - from_ms) / 1000 - (time.monotonic() - began_s)
                self._changed.wait(min(max(wait_s, 0.001), 0.2))

    def _show(self, source: VideoSource, index: int) -> None:
        self._at = index
        try:
            frame = source.frame(index, self._is_outdated)
        except UndecodableFrame:
            return
        self._going = False
        if not self._closing:
            self._on_frame(frame)

    def _open_again(self) -> VideoSource:
        before, self._source = self._source, None
        if before is not None:
            before.close()
        self._source = self._open()
        return self._source

    def _shown_ms(self) -> float:
        source = self._source
        return 0.0 if source is None else source.time_ms(min(self._at, len(source) - 1))

    def _is_outdated(self) -> bool:
        return self._closing or self._wanted_pts is not None
