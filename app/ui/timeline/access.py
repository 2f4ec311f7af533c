"""What a screen reader finds in the timeline: a list with one item per phase block. GUI thread.

Qt keeps plain pointers to these objects once a screen reader has asked for them, and frees them at
the end of the program. So they are kept, small as they are, know their timeline weakly, and are
used again for whatever block has their place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, ref

from PySide6.QtCore import QObject, QPoint, QRect
from PySide6.QtGui import QAccessible, QAccessibleEvent, QAccessibleInterface
from PySide6.QtWidgets import QAccessibleWidget
from shiboken6 import isValid

from app.annotate.phases import Block
from app.core.differences import Difference
from app.ui.timeline.speech import difference_name, item_name

if TYPE_CHECKING:
    from app.ui.timeline.widget import Timeline


class BlockItem(QAccessibleInterface):
    """The block that stands at one place of the list."""

    def __init__(self, timeline: TimelineList, place: int) -> None:
        super().__init__()
        self._list, self.place = timeline, place

    def block(self) -> Block | None:
        """The block at this place, None where there are fewer by now."""
        found = self._list.blocks()
        return found[self.place] if self.place < len(found) else None

    def difference(self) -> Difference | None:
        """The disagreement at this place, None where a block or nothing is."""
        place, found = self.place - len(self._list.blocks()), self._list.differences()
        return found[place] if 0 <= place < len(found) else None

    def isValid(self) -> bool:
        """Whether there is a block or a disagreement at this place."""
        return self.block() is not None or self.difference() is not None

    def object(self) -> QObject | None:
        """Blocks are no objects of Qt's."""
        return None

    def text(self, kind: QAccessible.Text) -> str:
        """``Calot triangle, 12:03 to 18:40, model, 92 %``."""
        block, timeline = self.block(), self._list.timeline
        data = timeline.data if timeline else None
        if kind != QAccessible.Text.Name or data is None:
            return ""
        if (found := self.difference()) is not None:
            return difference_name(found, data.words, data.time_ms)
        return item_name(data, block) if block is not None else ""

    def setText(self, kind: QAccessible.Text, text: str) -> None:
        """Names follow from the phases."""

    def role(self) -> QAccessible.Role:
        """An item of a list."""
        return QAccessible.Role.ListItem

    def state(self) -> QAccessible.State:
        """Selected, and whether it can be seen."""
        state, timeline, block = QAccessible.State(), self._list.timeline, self.block()
        state.selectable = state.focusable = True
        if timeline is not None and block is not None:
            state.selected = block == timeline.selected
            state.focused = state.selected and timeline.hasFocus()
        state.invalid = not self.isValid()
        state.offscreen = self.rect().isEmpty()
        return state

    def rect(self) -> QRect:
        """Where it lies on the screen; empty where it is scrolled away."""
        timeline, block = self._list.timeline, self.block()
        found = timeline.block_rect(block) if timeline and block else None
        differs = self.difference()
        if timeline is not None and differs is not None:
            found = timeline.difference_rect(differs)
        if timeline is None or found is None:
            return QRect()
        place = found.toAlignedRect().intersected(timeline.rect())
        return QRect(timeline.mapToGlobal(place.topLeft()), place.size())

    def parent(self) -> QAccessibleInterface:
        """The list."""
        return self._list

    def child(self, index: int) -> QAccessibleInterface | None:
        """A block has no parts."""
        return None

    def childAt(self, x: int, y: int) -> QAccessibleInterface | None:
        """A block has no parts."""
        return None

    def childCount(self) -> int:
        """A block has no parts."""
        return 0

    def indexOfChild(self, child: QAccessibleInterface) -> int:
        """A block has no parts."""
        return -1


class TimelineList(QAccessibleWidget):
    """The timeline: your blocks by time, then the model's, then where they differ."""

    def __init__(self, timeline: Timeline) -> None:
        super().__init__(timeline, QAccessible.Role.List)
        self._timeline = ref(timeline)
        self._items: list[BlockItem] = []

    @property
    def timeline(self) -> Timeline | None:
        """The widget, None once it is gone."""
        found = self._timeline()
        return found if found is not None and isValid(found) else None

    def blocks(self) -> list[Block]:
        """The blocks in the order in which they are read."""
        timeline = self.timeline
        data = timeline.data if timeline else None
        if data is None:
            return []
        tiers = data.tiers
        you = range(len(tiers.you.segments) if tiers.you else 0)
        model = range(len(tiers.model.segments) if tiers.model else 0)
        return [Block(row="you", index=i) for i in you] + [
            Block(row="model", index=i) for i in model
        ]

    def differences(self) -> tuple[Difference, ...]:
        """Where tiers name different phases."""
        timeline = self.timeline
        return timeline.data.differences if timeline and timeline.data else ()

    def childCount(self) -> int:
        """How many blocks and disagreements there are."""
        return len(self.blocks()) + len(self.differences())

    def child(self, index: int) -> QAccessibleInterface | None:
        """The block at a place."""
        if not 0 <= index < self.childCount():
            return None
        while len(self._items) <= index:
            self._items.append(BlockItem(self, len(self._items)))
        return self._items[index]

    def indexOfChild(self, child: QAccessibleInterface) -> int:
        """The place of a block."""
        return child.place if isinstance(child, BlockItem) else -1

    def childAt(self, x: int, y: int) -> QAccessibleInterface | None:
        """The block under a point of the screen."""
        items = (self.child(i) for i in range(self.childCount()))
        return next((i for i in items if i and i.rect().contains(QPoint(x, y))), None)

    def focusChild(self) -> QAccessibleInterface | None:
        """The selected block."""
        timeline, blocks = self.timeline, self.blocks()
        if timeline is None or timeline.selected not in blocks:
            return None
        return self.child(blocks.index(timeline.selected))


_lists: WeakKeyDictionary[QObject, TimelineList] = WeakKeyDictionary()
_kept: list[TimelineList] = []


def tell_selection(timeline: Timeline) -> None:
    """Tell a screen reader that another block is selected."""
    known = _lists.get(timeline)
    if known is None or not QAccessible.isActive():
        return
    blocks = known.blocks()
    if timeline.selected in blocks:
        event = QAccessibleEvent(timeline, QAccessible.Event.Focus)
        event.setChild(blocks.index(timeline.selected))
        QAccessible.updateAccessibility(event)


def _make(_class_name: str, widget: QObject) -> QAccessibleInterface | None:
    from app.ui.timeline.widget import Timeline

    if not isinstance(widget, Timeline):
        return None
    if widget not in _lists:
        _lists[widget] = TimelineList(widget)
        _kept.append(_lists[widget])
    return _lists[widget]


QAccessible.installFactory(_make)
