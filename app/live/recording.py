"""One recording from its first picture to its case.

On the session's thread, but for ``asset`` and ``begins_with``.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from app.core.case import Asset, Case, CaseState
from app.core.correction import Bookmark, Correction
from app.core.errors import EnvironmentProblem, Refused
from app.core.frame import FrameIdentity
from app.core.recording import LIVE_TIME_BASE, Fragment, Gap, Raster, Recording
from app.core.timeline import Timeline
from app.live.annotations import keyed, marked, timeline_correction
from app.live.finishing import complete
from app.video.live.state import LivePacket
from app.video.record.recorder import Recorder
from app.video.record.state import RecordingState

if TYPE_CHECKING:
    from app.store import Library

_UNITS = int(1 / LIVE_TIME_BASE)
_NO_PICTURE = "No picture is recorded yet; wait for the signal."


class LiveRecording:
    """A recorder, and what the library knows of what it writes.

    Args:
        library: open for writing.
        folder: where the file is made.
        source: name of the source, without secrets.
        on_state: of the recorder.
        on_fragment: the same, with this recording.

    Attributes:
        recorder: writes the file.
        asset: as a recording of its case, None before the library has taken it.

    Raises:
        EnvironmentProblem: the file cannot be made.
    """

    def __init__(
        self,
        library: Library,
        folder: Path,
        source: str,
        on_state: Callable[[RecordingState], None],
        on_fragment: Callable[[LiveRecording, Fragment], None],
    ) -> None:
        self._library = library
        self.asset: Asset | None = None
        self._first: LivePacket | None = None
        self._unstored: list[Fragment] = []
        self._is_worked_on = False
        self.recorder = Recorder(
            _free_path(folder),
            on_state=on_state,
            on_fragment=lambda fragment: on_fragment(self, fragment),
        )
        self._stored = Recording(
            asset_id=uuid.uuid4().hex,
            case_id="",
            path=str(self.recorder.path.absolute()),
            source=source,
            started_utc_ms=0,
        )

    @property
    def case_id(self) -> str:
        """Its case, "" before the first picture."""
        return self._stored.case_id

    @property
    def lacks_case(self) -> bool:
        """Whether a picture has come, and the library has not taken the recording yet."""
        return self._first is not None and self.asset is None

    def begins_with(self, first: LivePacket, raster: Raster | None) -> None:
        """The first picture is on its way to the file: from here on there may be a case.

        Once, on the thread that hands the picture on.
        """
        raster = raster or Raster(
            first_pts=first.pts,
            width_px=first.coding.width_px or 16,
            height_px=first.coding.height_px or 16,
        )
        self._stored = replace(
            self._stored,
            started_utc_ms=self._library.writer.clock(),
            rasters=(replace(raster, first_pts=first.pts),),
        )
        self._first = first

    def make_case(self, title: str, procedure: str) -> Case:
        """The case of a recording that has begun.

        Raises:
            Refused: no picture has come yet.
            TrocarError: the library cannot take it now; it may be tried again.
        """
        if self._first is None:
            raise Refused(_NO_PICTURE)
        asset = Asset(
            asset_id=self._stored.asset_id,
            path=self._stored.path,
            quick_hash="",
            stream=0,
            time_base=LIVE_TIME_BASE,
            start_pts=self._first.pts,
            end_pts=self._first.pts + 1,
            frames=1,
            width_px=self._stored.rasters[0].width_px,
            height_px=self._stored.rasters[0].height_px,
            codec=self._first.coding.codec,
        )
        case = self._library.writer.begin_recording(self._stored, asset, title, procedure).result()
        self._stored = replace(self._stored, case_id=case.case_id)
        self.asset = asset
        for fragment in self._unstored:
            self.keep(fragment)
        self._unstored.clear()
        return case

    def keep(self, fragment: Fragment) -> None:
        """A stretch is safely on the disk; the store's own thread reports what fails."""
        if self.asset is None:
            self._unstored.append(fragment)
        else:
            self._library.writer.put_fragment(self.asset.asset_id, fragment)

    def note_raster(self, raster: Raster) -> None:
        """From a picture on they have another size."""
        if self._first is None:
            return
        last = self._stored.rasters[-1]
        if (last.width_px, last.height_px) != (raster.width_px, raster.height_px):
            self._note(replace(self._stored, rasters=(*self._stored.rasters, raster)))

    def note_gap(self, gap: Gap) -> None:
        """For a while nothing came."""
        if self._first is None or gap.start_pts < self._first.pts:
            return
        if not self._stored.gaps or self._stored.gaps[-1] != gap:
            self._note(replace(self._stored, gaps=(*self._stored.gaps, gap)))

    def _note(self, stored: Recording) -> None:
        self._stored = stored
        if self.asset is not None:
            self._library.writer.put_recording(stored).result()

    def mark(self, now_pts: int, last_s: float, note: str) -> Bookmark:
        """A bookmark where the last seconds before ``now_pts`` begin.

        One that begins there already stays, as two at the start of a recording do; the new one
        begins at the next picture without any.

        Raises:
            Refused: no picture is recorded yet, or every one from there on is marked.
        """
        asset = self._begun()
        there = {b.frame.pts for b in self._library.bookmarks(asset.asset_id)}
        begins = max(asset.start_pts, now_pts - round(last_s * _UNITS))
        pts = self._free_pts(begins, asset.start_pts, there)
        frame = FrameIdentity(asset_id=asset.asset_id, stream=0, pts=pts)
        words = note.strip() or f"{max(0, now_pts - pts) / _UNITS:.0f} s, marked live"
        self._commit(marked(self._stored.case_id, frame, words))
        return Bookmark(frame=frame, note=words)

    def _free_pts(self, begins_pts: int, first_pts: int, there: set[int]) -> int:
        """The first written picture from ``begins_pts`` on that no bookmark is at."""
        written = self.recorder.pts_from(begins_pts)
        pts = first_pts if written is None else written
        while pts in there:
            following = self.recorder.pts_from(pts + 1)
            if following is None or following <= pts:
                raise Refused("This picture is marked already; press again in a moment.")
            pts = following
        return pts

    def key_phase(self, phase: str | None, at_pts: int, now_pts: int) -> Timeline:
        """``phase`` runs from ``at_pts`` on.

        Raises:
            Refused: no picture is recorded yet.
        """
        asset = self._begun()
        before = self._library.human_timeline(asset.asset_id)
        after = keyed(
            None if before is None else before.timeline,
            phase,
            start_pts=asset.start_pts,
            at_pts=max(at_pts, asset.start_pts),
            now_pts=now_pts,
        )
        title = "End a phase live" if phase is None else "Begin a phase live"
        step = timeline_correction(self._stored.case_id, asset.asset_id, before, after, title)
        if step is not None:
            self._commit(step)
        return after

    def _commit(self, step: Correction) -> None:
        """Store what a human said; from the first word on the case is being worked on."""
        self._library.writer.commit(step).result()
        if not self._is_worked_on:
            self._is_worked_on = True
            self._library.writer.set_state(self._stored.case_id, CaseState.WORKING)

    def end(self) -> Recording | None:
        """Write what has come, and complete the case; None where no picture came.

        Raises:
            EnvironmentProblem: the library could not take the case; the file is kept.
        """
        state = self.recorder.stop()
        self._first = None  # what was asked for before it ended makes no case any more
        if not state.frames:
            self.recorder.path.unlink(missing_ok=True)
            if self.asset is not None:
                # The disk took no picture: a case of nothing would be missing its file for ever.
                self._library.writer.delete_case(self.case_id).result()
                self.asset = None
            return None
        if self.asset is None:
            raise EnvironmentProblem(
                f"{self.recorder.path.name} was recorded, but the library could not take it as a "
                "case; open the file to make one."
            )
        recording = replace(self._stored, sha256=state.sha256)
        written, self.asset = complete(self._library, recording, self.asset, self.recorder.index())
        return written

    def _begun(self) -> Asset:
        if self.asset is None:
            raise Refused(_NO_PICTURE)
        return self.asset


def _free_path(folder: Path) -> Path:
    now = datetime.now().astimezone()
    base = path = folder / f"Trocar {now:%Y-%m-%d %H-%M-%S}.ts"
    number = 2
    while path.exists() or path.with_suffix(".mp4").exists():
        path = base.with_name(f"{base.stem} {number}.ts")
        number += 1
    return path
