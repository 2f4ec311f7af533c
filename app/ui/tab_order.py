"""Where Tab goes: through a room from its main control on, then to the bars. GUI thread."""

from __future__ import annotations

from itertools import pairwise

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractSpinBox, QComboBox, QWidget


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
    """What takes the focus by Tab in a room, hidden or not, in the order in which it was built.

    Not by ``nextInFocusChain`` and ``focusProxy``: PySide counts what these return as a child of
    the widget that was asked, and lets go of it with that one (crashes were seen).
    """
    inside = room.findChildren(QWidget)
    # Parts of another widget, such as a number's field, and what opens in a window of its own.
    wholes = [w for w in inside if w.isWindow() or isinstance(w, QAbstractSpinBox | QComboBox)]
    parts = {part for whole in wholes for part in whole.findChildren(QWidget)}
    return [w for w in inside if w.focusPolicy() & Qt.FocusPolicy.TabFocus and w not in parts]
