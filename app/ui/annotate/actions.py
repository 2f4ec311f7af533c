"""The table of Annotate's own keys. The timeline's are in ``app.ui.timeline.commands``."""

from __future__ import annotations

from app.ui.keys import Action, Scope

OUTLINES, TOOLS = "Outlines", "Tools on the picture"


def _action(
    id_: str, text: str, *keys: str, scope: Scope, group: str, repeats: bool = False
) -> Action:
    return Action(id=id_, text=text, keys=keys, scope=scope, group=group, repeats=repeats)


def _canvas(id_: str, text: str, *keys: str, repeats: bool = False) -> Action:
    return _action(id_, text, *keys, scope=Scope.CANVAS, group=TOOLS, repeats=repeats)


def _outline(id_: str, text: str, *keys: str) -> Action:
    return _action(id_, text, *keys, scope=Scope.CANVAS, group=OUTLINES)


def _annotate(id_: str, text: str, *keys: str) -> Action:
    return _action(id_, text, *keys, scope=Scope.ANNOTATE, group=OUTLINES)


ACTIONS: tuple[Action, ...] = (
    _canvas("tool_select", "Select, move corners", "Z"),
    _canvas("tool_brush", "Brush; with Alt it erases", "B"),
    _canvas("tool_eraser", "Eraser", "E"),
    _canvas("tool_polygon", "Polygon", "G"),
    _canvas("brush_smaller", "Smaller brush", "[", repeats=True),
    _canvas("brush_larger", "Larger brush", "]", repeats=True),
    _canvas("tool_finish", "Finish the polygon", "Return", "Enter"),
    _canvas("tool_back", "Take the last corner back, or the held one away", "Backspace"),
    _canvas("corner_on", "Next corner", "C", repeats=True),
    _canvas("corner_back", "Corner before", "Shift+C", repeats=True),
    _canvas("nudge_left", "Corner or crosshair left", "Alt+Left", repeats=True),
    _canvas("nudge_right", "Corner or crosshair right", "Alt+Right", repeats=True),
    _canvas("nudge_up", "Corner or crosshair up", "Alt+Up", repeats=True),
    _canvas("nudge_down", "Corner or crosshair down", "Alt+Down", repeats=True),
    _canvas("leap_left", "Ten pixels left", "Alt+Shift+Left", repeats=True),
    _canvas("leap_right", "Ten pixels right", "Alt+Shift+Right", repeats=True),
    _canvas("leap_up", "Ten pixels up", "Alt+Shift+Up", repeats=True),
    _canvas("leap_down", "Ten pixels down", "Alt+Shift+Down", repeats=True),
    _canvas("tool_tap", "Use the tool at the crosshair", "P"),
    _outline("outline_accept", "Accept the outline", "A"),
    _outline("outline_reject", "Reject the outline", "X"),
    _outline("outline_accept_all", "Accept all on this frame", "Shift+A"),
    _outline("outline_next_open", "Next outline to decide", "N"),
    _outline("outline_delete", "Delete the outline", "D", "Del"),
    _outline("outline_delete_on", "Delete it from here on", "Shift+D"),
    _outline("outline_delete_track", "Delete it on the whole track", "Ctrl+D"),
    _annotate("work_back", "Previous frame with your outlines", "Ctrl+PgUp"),
    _annotate("work_on", "Next frame with your outlines", "Ctrl+PgDown"),
    _annotate("frame_complete", "This frame is complete", "Ctrl+Return"),
    _annotate("cases_dock", "Show or hide the cases", "Ctrl+B"),
    _annotate("annotate_escape", "Leave the tool, the marks, the selection", "Esc"),
    *(_annotate(f"class_{n}", f"Class {n} of the list", f"Ctrl+{n % 10}") for n in range(1, 10)),
)
