"""Long recordings are indexed in the background: a thread ``trocar-index`` for each of them.

Whoever wants the same file meanwhile shares the work: a player shows it as far as it is known, a
command waits for the whole.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from app.core.errors import BadInput, EnvironmentProblem, TrocarError
from app.video.container import open_container, video_stream, video_streams
from app.video.index import OpenCancelled, PacketIndex, build_index

_POLL_S = 0.05

Key = tuple[str, int]
Keep = Callable[[PacketIndex, float, bool], None]
"""Called with a whole index, the seconds it took, and whether the file has other video streams."""


class Indexing:
    """The index of one file while it is being built; any thread.

    Attributes:
        newest: what is known by now; None before the first frames are.
        is_whole: the file was read to its end, and ``newest`` is all of it.
    """

    def __init__(self, path: Path, stream: int | None, keep: Keep) -> None:
        self.newest: PacketIndex | None = None
        self.is_whole = False
        self._path, self._stream, self._keep = path, stream, keep
        self._failure: TrocarError | None = None
        self._stopping = self._is_over = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="trocar-index", daemon=True)
        self._thread.start()

    def first(self, cancelled: Callable[[], bool], patience_s: float) -> PacketIndex:
        """The whole index if it comes within ``patience_s``, else what is known by then.

        Raises:
            TrocarError: the file cannot be indexed.
            OpenCancelled: ``cancelled()`` answered true.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or cancelled(), patience_s)
        return self._when(lambda: self.newest is not None, cancelled)

    def whole(self, cancelled: Callable[[], bool]) -> PacketIndex:
        """The whole index; raises as ``first``."""
        return self._when(lambda: self.is_whole, cancelled)

    def failure(self) -> TrocarError | None:
        """Why it ended before the file's end; None while it goes on, and where it did not fail."""
        with self._changed:
            return self._failure if self._is_over else None

    def stop(self) -> None:
        """Nobody wants it any more: end the thread."""
        self._stopping = True
        self._thread.join()

    def _when(self, ready: Callable[[], bool], cancelled: Callable[[], bool]) -> PacketIndex:
        with self._changed:
            while not (ready() or self._is_over):
                if cancelled():
                    raise OpenCancelled
                self._changed.wait(_POLL_S)
        if self._is_over and self._failure is not None:
            raise self._failure
        if self.newest is None:
            raise OpenCancelled
        return self.newest

    def _run(self) -> None:
        # Whatever happens, nobody waits for ever.
        self._failure = BadInput(f"{self._path.name} could not be read through; it is damaged.")
        try:
            self._build()
            self._failure = None
        except OpenCancelled:
            self._failure = None
        except TrocarError as error:
            self._failure = error
        except OSError as error:
            self._failure = EnvironmentProblem(
                f"{self._path.name} could not be read to its end ({error.strerror}); check its "
                "drive and open it again."
            )
        finally:
            with self._changed:
                self.is_whole = self._failure is None and not self._stopping
                self._is_over = True
                self._changed.notify_all()

    def _build(self) -> None:
        began_s, before = time.monotonic(), self._path.stat()
        with open_container(self._path) as container:
            stream = video_stream(container, self._path, self._stream)
            index = build_index(
                container, stream, self._path, lambda: self._stopping, told=self._say
            )
            has_others = len(video_streams(container)) > 1
        after = self._path.stat()
        if after.st_size < before.st_size:
            raise BadInput(
                f"{self._path.name} became shorter while it was read through; open it again once "
                "it is complete."
            )
        # One that is still being written is shown as far as it has come, this time.
        if (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns):
            self._keep(index, time.monotonic() - began_s, has_others)
        self._say(index)

    def _say(self, index: PacketIndex) -> None:
        with self._changed:
            self.newest = index
            self._changed.notify_all()


class Share:
    """One's part in an indexing that others may have a part in too.

    Args:
        of: the indexing.
        leave: gives up the part.
    """

    def __init__(self, of: Indexing, leave: Callable[[], None]) -> None:
        self.of = of
        self._leave: Callable[[], None] | None = leave

    def now(self) -> tuple[PacketIndex, bool]:
        """What is known, and whether that is all; only after ``of.first``.

        Raises:
            TrocarError: the file could not be read to its end.
        """
        if (failure := self.of.failure()) is not None:
            raise failure
        is_whole, newest = self.of.is_whole, self.of.newest
        if newest is None:
            raise ValueError("nothing is known of this file yet")
        return newest, is_whole

    def leave(self) -> None:
        """It is not wanted any more; the last one stops it."""
        leave, self._leave = self._leave, None
        if leave is not None:
            leave()


class Indexings:
    """Those under way in this process, by file."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_file: dict[Key, Indexing] = {}
        self._users: dict[Indexing, int] = {}

    def join(self, key: Key, path: Path, stream: int | None, keep: Keep) -> Share:
        """A share in the indexing of a file, which is begun where none is under way.

        One that failed is not shared with whoever comes later: the drive may be back.
        """
        with self._lock:
            indexing = self._by_file.get(key)
            if indexing is None or indexing.failure() is not None:
                indexing = self._by_file[key] = Indexing(path, stream, keep)
            self._users[indexing] = self._users.get(indexing, 0) + 1
        return Share(indexing, lambda: self._leave(key, indexing))

    def _leave(self, key: Key, indexing: Indexing) -> None:
        with self._lock:
            self._users[indexing] -= 1
            if self._users[indexing]:
                return
            del self._users[indexing]
            if self._by_file.get(key) is indexing:
                del self._by_file[key]
        indexing.stop()


INDEXINGS = Indexings()
