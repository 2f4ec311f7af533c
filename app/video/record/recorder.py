"""Writes live packets to MPEG-TS as they come, and drops none. Its thread is ``trocar-record``.

MPEG-TS with flushed packets lost no frame at a kill where fragmented MP4 lost up to a group of
pictures, and its times are in the recording's own 1/90000 (both measured).
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import av

from app.core.errors import EnvironmentProblem
from app.core.recording import Fragment
from app.video.index import PacketIndex
from app.video.live.state import LIVE_TIME_BASE, LivePacket
from app.video.record.encode import COPIED, ENCODED, Copy, Encode
from app.video.record.file import RecordingFile
from app.video.record.growing import GROWING
from app.video.record.index import WrittenIndex
from app.video.record.room import STOP_BELOW_S, WARN_BELOW_S, DiskWatch, free_bytes
from app.video.record.state import RecordingState

_MOST_WAITING_BYTES = 256 << 20
_SLOW_DISK_S = 2.0
_AT_ONCE = 32
# The clock of MPEG-TS begins again after 26.5 hours.
_LONGEST_PTS = 26 * 3600 * 90_000
# MP4 cannot tell a longer one than 6.6 hours.
_LONGEST_GAP = 6 * 3600 * 90_000
_UNFORESEEN = (
    "The recording was stopped by an error in Trocar. What was recorded is kept; begin another one."
)

log = logging.getLogger(__name__)


class Recorder:
    """One recording from its first keyframe to ``stop``. Callbacks run on the recorder's thread.

    Args:
        path: of the file, ``.ts``; must not exist.
        on_state: about once a second, and when something is said.
        on_fragment: a stretch is safely on the disk.
        room: free bytes of the disk.
        warn_below_s, stop_below_s: seconds of recording that the disk has room for.
        most_waiting_bytes: packets that may wait for the disk before ``put`` blocks.

    Raises:
        EnvironmentProblem: the file cannot be made.
    """

    def __init__(
        self,
        path: Path,
        *,
        on_state: Callable[[RecordingState], None] = lambda _state: None,
        on_fragment: Callable[[Fragment], None] = lambda _fragment: None,
        room: Callable[[Path], int] = free_bytes,
        warn_below_s: float = WARN_BELOW_S,
        stop_below_s: float = STOP_BELOW_S,
        most_waiting_bytes: int = _MOST_WAITING_BYTES,
    ) -> None:
        self.path = path
        self._on_state, self._on_fragment = on_state, on_fragment
        self._disk = DiskWatch(path.parent, room, warn_below_s, stop_below_s)
        self._most_waiting_bytes = most_waiting_bytes
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = RecordingFile(path)
        except OSError as error:
            raise EnvironmentProblem(
                f"{path.name} cannot be made in {path.parent.name} ({error.strerror}); choose "
                "another folder for recordings.",
                f"{type(error).__name__} {error.errno}",
            ) from error
        self._container: av.container.OutputContainer | None = None
        self._source: Copy | Encode = Copy()
        self._codec = ""
        self._waiting: deque[LivePacket] = deque()
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._stopping = False
        self._state = RecordingState(path=path, is_running=True)
        self._written = WrittenIndex()
        self._fragments, self._in_fragments = 0, 0
        self._seen_s = 0.0
        GROWING.begin(path, self.index)
        self._thread = threading.Thread(target=self._run, name="trocar-record", daemon=True)
        self._thread.start()

    @property
    def state(self) -> RecordingState:
        """Where it stands now; from any thread."""
        with self._changed:
            return self._state

    def put(self, packet: LivePacket) -> None:
        """Take a packet; waits where the disk is far behind. From one thread."""
        with self._changed:
            while self._waiting_bytes > self._most_waiting_bytes and not self._is_over():
                self._changed.wait(0.5)
            if self._is_over():
                return
            self._waiting.append(packet)
            self._waiting_bytes += len(packet.data)
            self._changed.notify_all()

    def stop(self) -> RecordingState:
        """Write what has come, close the file, and say what it holds. May be called again."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join()
        return self.state

    def index(self) -> PacketIndex | None:
        """The pictures that are in the file now; None before there are two. From any thread."""
        return self._written.snapshot()

    def pts_from(self, pts: int) -> int | None:
        """The pts of the first written picture at or after ``pts``; the last one's if none is."""
        return self._written.pts_from(pts)

    def _is_over(self) -> bool:
        return self._stopping or not self._state.is_running

    # What follows runs on the recorder's thread.

    def _run(self) -> None:
        is_foreseen = False
        try:
            while (packets := self._next()) is not None:
                for packet in packets:
                    self._take(packet)
                self._look_after()
            self._write(self._source.flush())
            is_foreseen = True
        except (OSError, av.FFmpegError, EnvironmentProblem) as error:
            self._stop_early(error)
            is_foreseen = True
        finally:
            if not is_foreseen:
                self._stop_early(EnvironmentProblem(_UNFORESEEN))
            self._finish()

    def _next(self) -> list[LivePacket] | None:
        with self._changed:
            if not self._waiting and not self._stopping:
                self._changed.wait(0.5)
            packets = [self._waiting.popleft() for _ in range(min(_AT_ONCE, len(self._waiting)))]
            self._waiting_bytes -= sum(len(p.data) for p in packets)
            self._changed.notify_all()
            return None if self._stopping and not packets else packets

    def _take(self, packet: LivePacket) -> None:
        if self._container is None:
            if not packet.is_keyframe:
                return
            self._begin(packet)
        elif isinstance(self._source, Copy) and packet.coding.codec != self._codec:
            self._change_codec()
        if packet.pts > _LONGEST_PTS:
            raise EnvironmentProblem("The recording was ended: it grew too long; begin another.")
        if self._state.last_pts is not None and packet.pts - self._state.last_pts > _LONGEST_GAP:
            raise EnvironmentProblem(
                "The recording was ended: nothing came for six hours. Begin another one."
            )
        self._write(self._source.packets(packet))

    def _begin(self, packet: LivePacket) -> None:
        coding = packet.coding
        copied = coding.codec in COPIED
        self._source = Copy() if copied else Encode()
        self._codec = coding.codec if copied else ENCODED
        self._container = av.open(
            self._file,
            "w",
            format="mpegts",
            options={"flush_packets": "1", "mpegts_copyts": "1", "max_delay": "0"},
        )
        stream = self._container.add_mux_stream(self._codec)
        stream.width, stream.height = coding.width_px or 16, coding.height_px or 16
        stream.time_base = LIVE_TIME_BASE
        with self._changed:
            self._state = replace(self._state, is_copy=copied)

    def _change_codec(self) -> None:
        if self._codec != ENCODED:
            raise EnvironmentProblem(
                "The recording was stopped: the source changed to another codec; begin another one."
            )
        self._source = Encode()

    def _write(self, packets: Iterable[av.Packet]) -> None:
        for packet in packets:
            if self._container is None or packet.pts is None:
                continue
            packet.stream = self._container.streams[0]
            pts, dts, is_key = packet.pts, packet.dts, packet.is_keyframe
            try:
                self._container.mux(packet)
            except (av.error.InvalidDataError, av.error.ArgumentError) as error:
                # Damaged on its way here; the pictures after it are not.
                log.debug("a packet cannot be written: %s", type(error).__name__)
                with self._changed:
                    self._state = replace(self._state, unwritable=self._state.unwritable + 1)
                continue
            self._written.add(pts, pts if dts is None else dts, is_keyframe=is_key)
            with self._changed:
                state = self._state
                first = pts if state.first_pts is None else min(state.first_pts, pts)
                last = pts if state.last_pts is None else max(state.last_pts, pts)
                self._state = replace(
                    state,
                    frames=len(self._written),
                    bytes=self._file.bytes,
                    first_pts=first,
                    last_pts=last,
                )

    def _look_after(self) -> None:
        """Once in a while: onto the disk, how much room is left, tell."""
        if self._file.is_due:
            self._sync()
        now_s = time.monotonic()
        if now_s - self._seen_s < 1.0 or self._container is None:
            return
        self._seen_s = now_s
        self._look_at_the_disk(now_s)
        self._on_state(self.state)

    def _sync(self) -> None:
        first_byte = self._file.synced_bytes
        self._file.sync()
        frames = len(self._written)
        if frames == self._in_fragments:
            return
        first_pts, last_pts = self._written.span(self._in_fragments)
        self._on_fragment(
            Fragment(
                position=self._fragments,
                first_pts=first_pts,
                last_pts=last_pts,
                first_byte=first_byte,
                end_byte=self._file.synced_bytes,
                frames=frames - self._in_fragments,
            )
        )
        self._fragments, self._in_fragments = self._fragments + 1, frames

    def _look_at_the_disk(self, now_s: float) -> None:
        state = self.state
        left_s, sentence = self._disk.look(state.bytes, state.length_s)
        with self._changed:
            waiting_s = now_s - self._waiting[0].arrived_s if self._waiting else 0.0
            if waiting_s > _SLOW_DISK_S and not sentence:
                sentence = f"The disk is too slow: {waiting_s:.0f} s of video wait to be written."
            self._state = replace(
                self._state, waiting_s=waiting_s, seconds_left=left_s, sentence=sentence
            )

    def _stop_early(self, error: Exception) -> None:
        log.info("a recording stops: %s", type(error).__name__)
        sentence = getattr(error, "user_message", "") or (
            f"The recording was stopped: the disk takes no more ({_reason(error)}). What was "
            "recorded is kept; free some space and begin another one."
        )
        with self._changed:
            self._state = replace(self._state, sentence=sentence, stopped_early=True)

    def _finish(self) -> None:
        try:
            if self._container is not None:
                self._container.close()
        except (OSError, av.FFmpegError) as error:
            log.info("the end of a recording was not written: %s", type(error).__name__)
        try:
            self._sync()
        except OSError as error:
            log.info("a recording could not be synced: %s", type(error).__name__)
        self._file.close_file()
        self._written.finish()
        GROWING.end(self.path)
        with self._changed:
            self._state = replace(
                self._state,
                is_running=False,
                waiting_s=0.0,
                bytes=self._file.bytes,
                sha256=self._file.sha256,
            )
            self._waiting.clear()
            self._waiting_bytes = 0
            self._changed.notify_all()
        self._on_state(self.state)


def _reason(error: Exception) -> str:
    cause = error.__cause__ or error.__context__ or error
    return getattr(cause, "strerror", None) or type(error).__name__
