"""Live's own keys. A pedal sends a key too; which one is a setting."""

from __future__ import annotations

from app.ui.keys import Action, Scope

_GROUP = "Live"


def _action(id_: str, text: str, keys: str, *, hold: bool = False, repeats: bool = False) -> Action:
    return Action(
        id=id_,
        text=text,
        keys=tuple(keys.split()),
        scope=Scope.LIVE,
        group=_GROUP,
        hold=hold,
        repeats=repeats,
    )


ACTIONS: tuple[Action, ...] = (
    _action("live_record", "Record; held for 2 s, end the recording", "R", hold=True),
    _action("live_mark", "Mark the last 30 seconds", "M"),
    _action("live_phase", "Choose the phase that begins", "P"),
    _action("live_pause", "Pause and look back, go on", "Space"),
    _action("live_back", "Five seconds back", "Left", repeats=True),
    _action("live_on", "Five seconds on", "Right", repeats=True),
    _action("live_jump_back", "Half a minute back", "Shift+Left", repeats=True),
    _action("live_jump_on", "Half a minute on", "Shift+Right", repeats=True),
    _action("live_edge", "Back to the live picture", "End"),
    _action("live_undo", "Take the last mark or phase back", "Ctrl+Z"),
    _action("live_snapshot", "Snapshot", "S"),
    _action("live_tissue", "Tissue only", "H", hold=True),
    _action("live_overlay", "Nothing, outline, fill, labels, confidence", "V"),
    _action("live_clear_smoke", "Clear smoke from the view, or not", "Ctrl+H"),
    _action("live_zoom_in", "Zoom in", "Ctrl++ Ctrl+=", repeats=True),
    _action("live_zoom_out", "Zoom out", "Ctrl+-", repeats=True),
    _action("live_fit", "Fit the picture", "Ctrl+0"),
    _action("live_full_screen", "Full screen", "F11 F"),
    _action("live_source", "Choose another source", "Ctrl+L"),
)
