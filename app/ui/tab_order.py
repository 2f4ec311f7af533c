"""Where Tab goes: through a room from its main control on, then to the bars. GUI thread."""

from __future__ import annotations

from itertools import pairwise

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget


def begin_at(main: QWidget, room: QWidget) -> None:
    """Let Tab go from a room's main control through the rest of it before it leaves the room.

    Args:
        main: has the focus when the room is entered.
        room: the main control is in it.
    """
    stops = stops_in(room)
    place = stops.index(main)
    for here, following in pairwise(stops[place:] + stops[:place]):
        QWidget.setTabOrder(here, following)


def stops_in(room: QWidget) -> list[QWidget]:
    """What takes the focus by Tab in a room, hidden or not, in order."""
    stops, at = [], room.nextInFocusChain()
    while at is not None and at is not room:
        takes = at.focusPolicy() & Qt.FocusPolicy.TabFocus
        # What has a proxy is a part of another widget, such as a number's field.
        if takes and at.focusProxy() is None and room.isAncestorOf(at):
            stops.append(at)
        at = at.nextInFocusChain()
    return stops
