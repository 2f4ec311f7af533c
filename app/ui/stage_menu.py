"""The menu of the picture and of the ribbon: what their keys do, for the mouse. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QMenu, QWidget

from app.ui.keys import KeyMap

FIND = ("more_like",)
STRETCH = ("mark_first", "mark_last", "loop", "loop_change", "clip")
LOOK_AT = (
    "difference_on", "difference_back", "doubt_on", "doubt_back", "look_next", "lengths",
    "lanes", "lanes_menu",
)  # fmt: skip
PICTURE = ("snapshot", "snapshot_plain", "snapshot_shown", "copy_picture", "copy_moment")
LOOK = ("adjust", "adjust_reset", "clear_smoke", "fields", "fit", "pixels")


def open_menu(parent: QWidget, keys: KeyMap, at: QPoint, *groups: tuple[str, ...]) -> QMenu:
    """Open a menu of actions by id, in groups.

    Args:
        parent: over which widget.
        keys: says what an action is called and does.
        at: global coordinates.
        groups: ids of actions; a line stands between two groups.
    """
    menu = QMenu(parent)
    menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    for place, group in enumerate(groups):
        if place:
            menu.addSeparator()
        for action_id in group:
            text, _, key = keys.tooltip(action_id).partition("  (")
            words = f"{text}\t{key.removesuffix(')')}" if key else text
            menu.addAction(words, lambda i=action_id: keys.trigger(i))
    menu.popup(at)
    return menu
