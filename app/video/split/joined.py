"""The files of a split recording as one exact source of frames. Used by one thread at a time.

Parts are opened when a frame of theirs is wanted, the next one shortly before the playhead
reaches it (on the thread ``trocar-next-part``), and no more than ``MOST_OPEN`` stay open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from app.core.case import Asset, Part
from app.core.errors import BadInput
from app.core.frame import Frame, pts_to_ms
from app.video.decoder import UndecodableFrame
from app.video.index import PacketIndex
from app.video.info import VideoInfo, frame_rate
from app.video.oddities import missing_time
from app.video.source import CACHE_BYTES, VideoSource
from app.video.split.placing import index_of_missing, joined_index, placed_index, rasters_of

MOST_OPEN = 2
"""The one that is looked at and the neighbour; each has its share of the cache."""
AHEAD_FRAMES = 75
"""So many frames before a join the next part is opened."""


class MissingPart(UndecodableFrame):
    """A frame lies in a file that is not where it was."""

    def __init__(self, index: int, name: str) -> None:
        super().__init__(index, name)
        self.user_message = f"{name} is not where it was: this stretch cannot be shown."
        self.args = (self.user_message,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opener:
    """How the files of a recording are opened.

    Attributes:
        open: (part, room for decoded frames, cancelled) to its source.
        known_index: the packet index of a part where it is known without opening, else None.
    """

    open: Callable[[Part, int, Callable[[], bool]], VideoSource]
    known_index: Callable[[Part], PacketIndex | None]


class JoinedSource(VideoSource):
    """A split recording; see ``VideoSource``. Its pts are those of the asset.

    Args:
        asset: the recording, with parts.
        missing: (position of a part, why it cannot be opened); their frames keep their indices
            and raise ``MissingPart``.
        opener: how a file is opened.
        cache_bytes: room for decoded frames, of all parts together.
        cancelled: asked while parts are indexed.

    Raises:
        BadInput: no part is there, or one does not fit its place any more.
    """

    def __init__(
        self,
        asset: Asset,
        opener: Opener,
        *,
        missing: dict[int, str] | None = None,
        cache_bytes: int = CACHE_BYTES,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        self.path = Path(asset.path)
        self.missing = missing or {}
        self._asset, self._opener = asset, opener
        self._cache_bytes = cache_bytes // MOST_OPEN
        self._open: dict[int, VideoSource] = {}
        self._coming: dict[int, Future[VideoSource]] = {}
        self._threads: ThreadPoolExecutor | None = None
        self._closing = False
        self._deinterlaces = True
        try:
            indices = [self._index_of_part(i, cancelled) for i in range(len(asset.parts))]
            self.index = joined_index(indices)
            self._sizes = [i.sizes for i in indices]
            self._starts = np.cumsum([0, *(len(i) for i in indices)])
            self.info = self._describe(cancelled)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Release the files and the cached frames."""
        self._closing = True
        if self._threads is not None:
            self._threads.shutdown(wait=True)
        for coming in self._coming.values():
            if coming.exception() is None:
                coming.result().close()
        for source in self._open.values():
            source.close()
        self._coming, self._open = {}, {}

    @property
    def files(self) -> tuple[Path, ...]:
        """All its files, also those that are missing."""
        return tuple(Path(part.path) for part in self._asset.parts)

    def set_deinterlacing(self, *, on: bool) -> None:
        """Make pictures of two fields whole, or leave them woven, in every part."""
        self._deinterlaces = on
        for source in self._open.values():
            source.set_deinterlacing(on=on)

    @property
    def cached_bytes(self) -> int:
        """Memory of the decoded frames at hand."""
        return sum(s.cached_bytes for s in self._open.values())

    def holds(self, index: int) -> bool:
        """Whether a frame is decoded and at hand."""
        part, own = self._place(self._checked(index))
        return part in self._open and self._open[part].holds(own)

    def keep_around(self, index: int) -> None:
        """Frames near ``index`` are the last to be let go when the cache is full."""
        part, own = self._place(self._checked(index))
        for position, source in self._open.items():
            # Of a neighbour, those next to the join.
            near = own if position == part else (0 if position > part else len(source) - 1)
            source.keep_around(near)

    def frame(self, index: int, cancelled: Callable[[], bool] | None = None) -> Frame:
        """The exact frame; see ``VideoSource.frame``.

        Raises:
            MissingPart: its file is not there.
        """
        index = self._checked(index)
        part, own = self._place(index)
        with self._named(index):
            return self._placed(self._source(part, index, cancelled).frame(own, cancelled), part)

    def skip_to(self, index: int, cancelled: Callable[[], bool] | None = None) -> None:
        """Decode up to ``index`` into the cache without converting it."""
        index = self._checked(index)
        part, own = self._place(index)
        with self._named(index):
            self._source(part, index, cancelled).skip_to(own, cancelled)

    def decoded_hash(self, index: int) -> bytes:
        """SHA-256 of a picture as it is stored."""
        part, own = self._place(self._checked(index))
        with self._named(index):
            return self._source(part, index, None).decoded_hash(own)

    def read_ahead(
        self, index: int, direction: int, cancelled: Callable[[], bool] | None = None
    ) -> bool:
        """Decode some of what will be wanted next; see ``VideoSource.read_ahead``."""
        part, own = self._place(self._checked(index))
        if part not in self.missing:
            source = self._source(part, index, cancelled)
            if source.read_ahead(own, direction, cancelled):
                return True
        # Beyond the join, the few frames that any source keeps at hand.
        return super().read_ahead(index, direction, cancelled)

    def glimpse(self, index: int, cancelled: Callable[[], bool] | None = None) -> Frame | None:
        """A picture near a frame, at once; see ``VideoSource.glimpse``."""
        part, own = self._place(self._checked(index))
        if part in self.missing:
            return None
        found = self._source(part, index, cancelled).glimpse(own, cancelled)
        return None if found is None else self._placed(found, part)

    def _placed(self, frame: Frame, part: int) -> Frame:
        """A part's frame with its index and time in the whole."""
        index = int(self._starts[part]) + frame.index
        return replace(frame, pts=self.pts(index), index=index, time_ms=self.time_ms(index))

    @contextmanager
    def _named(self, index: int) -> Iterator[None]:
        """A frame that does not decode is named by its index in the whole."""
        try:
            yield
        except MissingPart:
            raise
        except UndecodableFrame as error:
            name = self.files[self._place(index)[0]].name
            raise UndecodableFrame(index, name) from error

    def _place(self, index: int) -> tuple[int, int]:
        """(position of the part, index in it) of a frame."""
        part = int(np.searchsorted(self._starts, index, side="right")) - 1
        return part, index - int(self._starts[part])

    def _source(self, part: int, index: int, cancelled: Callable[[], bool] | None) -> VideoSource:
        """The open source of a part; opens it, and the next one where the join is near.

        Raises:
            MissingPart: the file is not there.
        """
        if part in self.missing:
            raise MissingPart(index, Path(self._asset.parts[part].path).name)
        if part not in self._open:
            self._open[part] = self._opened(part, cancelled or (lambda: False))
        # Oldest use first, so that the part looked at longest ago is the one to be closed.
        source = self._open[part] = self._open.pop(part)
        while len(self._open) > MOST_OPEN:
            self._open.pop(next(iter(self._open))).close()
        self._open_ahead(part, index)
        return source

    def _opened(self, part: int, cancelled: Callable[[], bool]) -> VideoSource:
        coming = self._coming.pop(part, None)
        if coming is None:
            source = self._opener.open(self._asset.parts[part], self._cache_bytes, cancelled)
        else:
            source = coming.result()
        if not self._deinterlaces:
            source.set_deinterlacing(on=False)
        return source

    def _open_ahead(self, part: int, index: int) -> None:
        """Have the neighbour beyond the nearer join opened, where that join is near."""
        ahead = (int(self._starts[part + 1]) - index, part + 1)
        behind = (index - int(self._starts[part]) + 1, part - 1)
        there = [n for n in (ahead, behind) if 0 <= n[1] < len(self._asset.parts)]
        distance, other = min(there, default=(AHEAD_FRAMES + 1, part))
        known = other in self._open or other in self._coming or other in self.missing
        if known or distance > AHEAD_FRAMES:
            return
        self._drop_coming()
        if self._threads is None:
            self._threads = ThreadPoolExecutor(1, thread_name_prefix="trocar-next-part")
        self._coming[other] = self._threads.submit(
            self._opener.open, self._asset.parts[other], self._cache_bytes, lambda: self._closing
        )

    def _drop_coming(self) -> None:
        """A neighbour that was opened and not wanted after all is closed again."""
        for other, coming in list(self._coming.items()):
            if coming.done():
                del self._coming[other]
                if coming.exception() is None:
                    coming.result().close()

    def _index_of_part(self, part: int, cancelled: Callable[[], bool]) -> PacketIndex:
        """Index of a part with the asset's pts; of one that is missing, from its steps."""
        place = self._asset.parts[part]
        if part in self.missing:
            return index_of_missing(place)
        own = self._opener.known_index(place)
        if own is None:
            source = self._opener.open(place, self._cache_bytes, cancelled)
            own = source.index
            self._open[part] = source
            while len(self._open) > MOST_OPEN:
                self._open.pop(next(iter(self._open))).close()
        return placed_index(own, place, self._asset.time_base)

    def _describe(self, cancelled: Callable[[], bool]) -> VideoInfo:
        asset = self._asset
        there = next((i for i in range(len(asset.parts)) if i not in self.missing), None)
        if there is None:
            raise BadInput(f"None of the {len(asset.parts)} files of this recording is there.")
        if there not in self._open:
            self._open[there] = self._opened(there, cancelled)
        first = self._open[there].info
        rate, variable = frame_rate(self.index.pts, asset.time_base, first.frame_rate)
        return replace(
            first,
            frames=len(self.index),
            duration_ms=pts_to_ms(self.index.end_pts, asset.start_pts, asset.time_base),
            width_px=asset.width_px,
            height_px=asset.height_px,
            frame_rate=rate,
            is_variable_rate=variable,
            time_base=asset.time_base,
            start_pts=asset.start_pts,
            end_pts=self.index.end_pts,
            rasters=rasters_of(asset.parts, self._sizes),
            gaps=missing_time(self.index, asset.time_base),
            problems=(*first.problems, *self._part_problems()),
        )

    def _part_problems(self) -> tuple[str, ...]:
        gone = [f"{Path(self._asset.parts[i].path).name}: {why}" for i, why in self.missing.items()]
        return (*gone, *gap_sentences(self._asset.parts))


def gap_sentences(parts: tuple[Part, ...]) -> tuple[str, ...]:
    """What is lost or recorded twice at the joins, a sentence each."""
    words = {True: "are missing before", False: "are recorded twice at the start of"}
    return tuple(
        f"About {abs(part.gap_ms) / 1000:.1f} s {words[part.gap_ms > 0]} {Path(part.path).name}."
        for part in parts
        if part.gap_ms
    )
