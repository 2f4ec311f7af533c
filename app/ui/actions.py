"""The table of everything that a key does outside Annotate's own tools."""

from __future__ import annotations

from app.ui.keys import Action, Scope

_E, _P, _L = Scope.EVERYWHERE, Scope.PLAYER, Scope.LIBRARY

PLAY, SEE, ALWAYS, LIBRARY = "Play", "See", "Always", "Library"


def _action(
    id_: str,
    text: str,
    keys: str,
    scope: Scope,
    group: str,
    *,
    hold: bool = False,
    repeats: bool = False,
) -> Action:
    return Action(
        id=id_,
        text=text,
        keys=tuple(keys.split()),
        scope=scope,
        group=group,
        hold=hold,
        repeats=repeats,
    )


ACTIONS: tuple[Action, ...] = (
    _action("play", "Play, pause", "Space", _P, PLAY),
    _action("frame_back", "One frame back", "Left ,", _P, PLAY, repeats=True),
    _action("frame_on", "One frame on", "Right .", _P, PLAY, repeats=True),
    _action("second_back", "One second back", "Shift+Left", _P, PLAY, repeats=True),
    _action("second_on", "One second on", "Shift+Right", _P, PLAY, repeats=True),
    _action("ten_back", "Ten frames back", "Ctrl+Left", _P, PLAY, repeats=True),
    _action("ten_on", "Ten frames on", "Ctrl+Right", _P, PLAY, repeats=True),
    _action("boundary_back", "Previous phase change", "Up", _P, PLAY),
    _action("boundary_on", "Next phase change", "Down", _P, PLAY),
    _action("bookmark", "Bookmark with a note", "M", _P, PLAY),
    _action("bookmark_remove", "Remove the bookmark here", "Shift+M", _P, PLAY),
    _action("bookmark_back", "Previous bookmark", "PgUp", _P, PLAY),
    _action("bookmark_on", "Next bookmark", "PgDown", _P, PLAY),
    _action("to_start", "To the start", "Home", _P, PLAY),
    _action("to_end", "To the end", "End", _P, PLAY),
    _action("slower", "Slower", "J", _P, PLAY),
    _action("stop", "Stop", "K", _P, PLAY),
    _action("faster", "Faster", "L", _P, PLAY),
    _action("speed_down", "Speed down a little", "[", _P, PLAY),
    _action("speed_up", "Speed up a little", "]", _P, PLAY),
    _action("speed_normal", "Normal speed", "Backspace", _P, PLAY),
    _action("go_to", "Go to a time or frame", "G", _P, PLAY),
    _action("hold_tissue", "Tissue only", "H", _P, SEE, hold=True),
    _action("overlay", "Nothing, outline, fill, labels, confidence", "V", _P, SEE),
    _action("zoom_in", "Zoom in", "Ctrl++ Ctrl+=", _P, SEE, repeats=True),
    _action("zoom_out", "Zoom out", "Ctrl+-", _P, SEE, repeats=True),
    _action("fit", "Fit the picture", "Ctrl+0", _P, SEE),
    _action("full_screen", "Full screen", "F11 F", _P, SEE),
    _action("snapshot", "Snapshot", "S", _P, SEE),
    _action("copy_picture", "Copy the picture", "Ctrl+Shift+C", _P, SEE),
    _action("analyse", "Analyse, pause the analysis", "Ctrl+R", _P, ALWAYS),
    _action("models", "Models and device", "Ctrl+M", _E, ALWAYS),
    _action("teach", "Teach a model from corrections", "Ctrl+T", _E, ALWAYS),
    _action("export", "Export outlines and phases", "Ctrl+E", _P, ALWAYS),
    _action("report", "Save the report", "Ctrl+P", _P, ALWAYS),
    _action("procedure", "Say which operation it is", "Ctrl+Shift+P", _P, ALWAYS),
    _action("rename", "Give the case another name", "F2", _P, ALWAYS),
    _action("case_done", "Mark the case as done, or not", "Ctrl+Shift+D", _P, ALWAYS),
    _action("undo", "Undo", "Ctrl+Z", _P, ALWAYS),
    _action("redo", "Redo", "Ctrl+Shift+Z Ctrl+Y", _P, ALWAYS),
    _action("workspace_library", "Library", "Ctrl+1 Alt+1", _E, ALWAYS),
    _action("workspace_review", "Review", "Ctrl+2 Alt+2", _E, ALWAYS),
    _action("workspace_annotate", "Annotate", "Ctrl+3 Alt+3", _E, ALWAYS),
    _action("next_region", "Next part of the window", "F6", _E, ALWAYS),
    _action("previous_region", "Previous part of the window", "Shift+F6", _E, ALWAYS),
    _action("keys", "This sheet", "? F1", _E, ALWAYS),
    _action("settings", "Settings", "Ctrl+,", _E, ALWAYS),
    _action("reset_layout", "Put the layout back", "Ctrl+Alt+0", _E, ALWAYS),
    _action("escape", "Close, leave full screen, back to the stage", "Esc", _E, ALWAYS),
    _action("quit", "Close Trocar", "Ctrl+Q", _E, ALWAYS),
    _action("open", "Open a recording", "Ctrl+O", _E, LIBRARY),
    _action("demo", "Look at the demo case", "D", _L, LIBRARY),
    _action("find_case", "Find a case", "Ctrl+F", _L, LIBRARY),
    _action("open_case", "Open the case", "Enter Return", _L, LIBRARY),
    _action("rename_case", "Give the case another name", "F2", _L, LIBRARY),
    _action("delete_case", "Delete the case", "Del", _L, LIBRARY),
)
