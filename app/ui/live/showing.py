"""What Live's workspace shows at any moment, made from the state of its control. GUI thread."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from app.core.recording import LIVE_TIME_BASE
from app.core.taxonomy import Phase
from app.ui.live import words
from app.ui.live.models import in_ms
from app.ui.live.stage import LiveView, Notice, Toast
from app.ui.live.strip import Stretch, StripData
from app.ui.timeline.forecast import short_words, whole_words
from app.ui.words import length, moment

if TYPE_CHECKING:
    from app.core.forecast import Forecast
    from app.ui.live.control import LiveControl
    from app.ui.live.workspace import LiveWorkspace

TOAST_S = 3.0
FORECAST_HOLDS_S = LIKELY_HOLDS_S = 5
_WORDS_EVERY_S = 0.25
_AGE_EVERY_S = 0.5


class Showing(QObject):
    """Keeps picture, plates, strip, buttons and words up to date."""

    def __init__(self, control: LiveControl, page: LiveWorkspace) -> None:
        super().__init__(control)
        self._control, self._page = control, page
        self._toast: Toast | None = None
        self._toast_until_s = self._shown_s = self._age_s = 0.0
        self._overlay = ("", "osd_text_3", "")

    def toast(self, text: str, small: str, icon: str) -> None:
        """Say something at the bottom of the picture for a moment."""
        self._toast = Toast(text=text, small=small, icon=icon)
        self._toast_until_s = time.monotonic() + TOAST_S
        self.refresh()

    def tick(self) -> None:
        """Called twenty times a second; words change four times a second."""
        if time.monotonic() - self._shown_s >= _WORDS_EVERY_S:
            self.refresh()

    def refresh(self) -> None:
        """Show everything as it is now."""
        now_s = self._shown_s = time.monotonic()
        if self._toast is not None and now_s > self._toast_until_s:
            self._toast = None
        self._show_picture(now_s)
        self._show_strip()
        self._show_plates()
        self._show_buttons()

    # The picture

    def _show_picture(self, now_s: float) -> None:
        control = self._control
        notes, screen = control.notes, control.screen
        phase, human, since_ms = self._phase()
        lines, warn = self._recording_lines()
        if now_s - self._age_s >= _AGE_EVERY_S:
            self._age_s = now_s
            self._overlay = self._overlay_words()
        elapsed = None if notes is None else self._edge_ms()
        below: tuple[str, ...] = ()
        if phase is not None:
            below = (f"{moment(since_ms)} in this phase",)
            if not human:
                below = (*below, "the model says")
        seen = self._foreseen(None if phase is None else phase.key)
        below = (*below, *short_words(seen, control.taxonomy))
        self._page.stage.show_view(
            LiveView(
                recording=control.is_recording,
                elapsed_ms=elapsed,
                lines=lines,
                warn=warn,
                phase=phase,
                phase_human=human,
                phase_likely=self._likely(phase, human=human),
                phase_lines=below,
                foreseen=whole_words(seen, control.taxonomy) if seen is not None else "",
                overlay="" if screen.behind else self._overlay[0],
                overlay_tone=self._overlay[1],
                overlay_detail=self._overlay[2],
                caution=control.models.caution,
                marks=notes.rows() if notes else (),
                mark_count=len(notes.marks) if notes else 0,
                notice=None if screen.behind else self._notice(now_s),
                toast=self._toast,
                toast_floor_px=self._page.picker.covers_px,
            )
        )

    def _likely(self, phase: Phase | None, *, human: bool) -> float | None:
        """How likely the newest look makes the model's phase, beside the newest picture alone."""
        models, screen = self._control.models, self._control.screen
        known = phase is not None and not human and models.phase == phase.key
        if not known or models.likely is None or screen.live is None or screen.behind:
            return None
        likely, pts = models.likely
        return likely if abs(screen.live.pts - pts) <= LIKELY_HOLDS_S / LIVE_TIME_BASE else None

    def _foreseen(self, phase: str | None) -> Forecast | None:
        """What is likely next and how long the rest takes, beside the newest picture alone.

        Args:
            phase: the one that is shown.
        """
        control, seen = self._control, self._control.models.forecast
        live = control.screen.live
        if seen is None or live is None or control.screen.behind:
            return None
        if abs(live.pts - seen.pts) > FORECAST_HOLDS_S / LIVE_TIME_BASE:
            return None
        return seen.beside(phase, control.taxonomy)

    def _notice(self, now_s: float) -> Notice | None:
        control = self._control
        if control.state is None:
            return None
        silent = now_s - (control.silent_since_s or now_s)
        if control.state.status == "live" and control.screen.live is None:
            return Notice(icon="radio", title="Waiting for the first picture", tone="osd_text_2")
        icon, title, detail, tone = words.signal(
            control.state, silent, recording=control.is_recording
        )
        return Notice(icon=icon, title=title, detail=detail, tone=tone) if title else None

    def _recording_lines(self) -> tuple[tuple[str, ...], bool]:
        control, recording = self._control, self._control.recording
        if control.is_recording and recording is not None:
            lines = [f"Recording, {words.size(recording.bytes)}"]
            left = words.room(recording.seconds_left)
            warn = bool(recording.sentence)
            if warn:
                left = recording.sentence
            return tuple([*lines, left] if left else lines), warn
        if control.is_recording:
            return ("Recording begins",), False
        return (("Recording ended",) if control.notes is not None else ()), False

    def _overlay_words(self) -> tuple[str, str, str]:
        control, screen = self._control, self._control.screen
        if control.models.analysis is None:
            return "No overlay", "osd_text_3", "no model is at work"
        return words.outlines(
            screen.pace,
            screen.overlay_age_ms,
            hidden=screen.overlay_hidden,
            has_outlines=control.models.has_outlines,
            limit_ms=float(control.limit_ms),
        )

    def _phase(self) -> tuple[Phase | None, bool, float]:
        """The phase on screen: what a human keyed, else what the model says; and since when."""
        control, notes, shown = self._control, self._control.notes, self._control.screen.shown
        if shown is None:
            return None, False, 0.0
        if notes is not None and control.is_recording:
            at_ms = notes.ms(shown.pts)
            for stretch in reversed(notes.stretches(shown.pts + 1)):
                if stretch.start_ms <= at_ms < stretch.end_ms:
                    phase = control.taxonomy.phase(stretch.phase)
                    return phase, True, at_ms - stretch.start_ms
        for start, end, key in reversed(control.models.stretches):
            last = (start, end, key) == control.models.stretches[-1]
            if start <= shown.pts and (last or shown.pts < end):
                return control.taxonomy.phase(key), False, (shown.pts - start) / 90
        return None, False, 0.0

    # Strip, plates, buttons

    def _edge_ms(self) -> float:
        control = self._control
        if control.notes is None:
            return 0.0
        recording = control.recording
        written = 0.0 if recording is None else 1000 * recording.length_s
        if not control.is_recording or control.screen.live is None:
            return written
        return max(written, control.notes.ms(control.screen.live.pts))

    def _show_strip(self) -> None:
        control = self._control
        notes, screen = control.notes, control.screen
        if notes is None:
            self._page.strip.show_data(StripData())
            return
        end_ms = self._edge_ms()
        live_pts = notes.start_pts + round(end_ms * 90)
        human = notes.stretches(live_pts)
        model = in_ms(control.models.stretches, notes.start_pts)
        gaps = control.state.gaps if control.state else ()
        at_pts = screen.at_pts if screen.behind else None
        at_ms = None if at_pts is None else notes.ms(at_pts)
        self._page.strip.show_data(
            StripData(
                taxonomy=control.taxonomy,
                end_ms=end_ms,
                at_ms=at_ms,
                blocks=(*_uncovered(model, human), *human),
                marks=notes.spans(),
                gaps=tuple(
                    (max(0.0, notes.ms(g.start_pts)), notes.ms(g.end_pts))
                    for g in gaps
                    if g.end_pts > notes.start_pts
                ),
                recording=control.is_recording,
            )
        )

    def _show_plates(self) -> None:
        control, screen, page = self._control, self._control.screen, self._page
        if screen.behind:
            behind = length(max(1.0, screen.behind_s))
            page.plate.say(
                f"You are watching {behind} behind"
                if screen.playing
                else f"Paused, {behind} behind"
            )
        page.plate.setVisible(screen.behind)
        case = control.case
        done = case is not None and not control.is_recording and not screen.behind
        if done and case is not None:
            ready = bool(case.assets) and case.assets[-1].path.endswith(".mp4")
            long = moment(self._edge_ms())
            state = "is recorded" if ready else "is being finished"
            page.done_plate.say(f"Case {case.case_id} {state}, {long}")
            page.done_plate.button.setEnabled(ready)
        page.done_plate.setVisible(done)
        page.place()

    def _show_buttons(self) -> None:
        control, page, screen = self._control, self._page, self._control.screen
        watching = control.session is not None and screen.shown is not None
        failed = control.state is not None and control.state.status == "failed"
        can_record = control.session is not None and not control.stopping
        page.record.setEnabled(can_record and (control.is_recording or not failed))
        page.record.set_recording(recording=control.is_recording)
        noting = watching and control.notes is not None and control.is_recording
        page.mark.setEnabled(noting)
        page.phase.setEnabled(noting)
        if not noting:
            page.picker.hide()
        for button in (page.pause, page.snapshot, page.hide_overlay):
            button.setEnabled(watching)
        goes_on = screen.behind and not screen.playing
        icon, word = ("play", "Go on") if goes_on else ("pause", "Pause")
        page.pause.show_as(icon, word, page.pause_key)


def _uncovered(model: tuple[Stretch, ...], human: tuple[Stretch, ...]) -> tuple[Stretch, ...]:
    """The model's phases where no human keyed any: the strip has one line."""
    begins = min((h.start_ms for h in human), default=float("inf"))
    return tuple(
        m
        if m.end_ms <= begins
        else Stretch(start_ms=m.start_ms, end_ms=begins, phase=m.phase, human=False)
        for m in model
        if m.start_ms < begins
    )
