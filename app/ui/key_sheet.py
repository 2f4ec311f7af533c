"""The ``?`` sheet: every key, made from the table of actions. GUI thread."""

from __future__ import annotations

from collections import defaultdict

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from app.ui import theme
from app.ui.keys import SCOPE_NAMES, Action, KeyMap, Scope
from app.ui.sheet import Sheet
from app.ui.widgets import KeyCap, Label, row

SYMBOLS = {"Left": "←", "Right": "→", "Up": "↑", "Down": "↓", "Return": "Enter", "Del": "Del"}
COLUMNS = 3


def caps(sequence: str) -> list[str]:
    """The caps of a key sequence: ``Ctrl+Shift+Z`` becomes Ctrl, Shift, Z."""
    native = QKeySequence(sequence).toString(QKeySequence.SequenceFormat.NativeText)
    if native.endswith("++"):
        parts = [*native[:-2].split("+"), "+"]
    elif native == "+":
        parts = ["+"]
    else:
        parts = native.split("+")
    return [SYMBOLS.get(p, p) for p in parts if p]


class KeySheet(Sheet):
    """All bound actions by group, with a field to find one."""

    def __init__(self, window: QWidget, keys: KeyMap) -> None:
        super().__init__(window, "Keys", 1240, 730)
        self._keys = keys
        self.find = QLineEdit()
        self.find.setPlaceholderText("Find a key or an action")
        self.find.setAccessibleName("Find a key or an action")
        self.find.setFixedWidth(theme.px(280))
        self.find.textChanged.connect(self._fill)
        self.head.insertWidget(2, self.find)

    def open_sheet(self) -> None:
        """Show it, freshly made from the table."""
        self.find.clear()
        self._fill()
        super().open_sheet()
        self.find.setFocus(Qt.FocusReason.OtherFocusReason)

    def matching(self, words: str) -> list[Action]:
        """Bound actions whose text or key contains all the words, and that have a meaning here."""
        wanted = words.lower().split()
        return [
            a
            for a in self._keys.actions
            if self._keys.keys_here(a)
            and (self._keys.is_bound(a.id) or a.hold)
            and all(w in f"{a.text} {' '.join(a.keys)} {a.group}".lower() for w in wanted)
        ]

    def _fill(self) -> None:
        groups: dict[str, list[Action]] = defaultdict(list)
        for action in self.matching(self.find.text()):
            groups[action.group].append(action)
        body = QWidget()
        columns = QHBoxLayout(body)
        columns.setContentsMargins(28, 20, 28, 8)
        columns.setSpacing(36)
        boxes = [QVBoxLayout() for _ in range(COLUMNS)]
        heights = [0] * COLUMNS
        for name, actions in sorted(groups.items(), key=self._rank):
            place = heights.index(min(heights))
            heights[place] += len(actions) + 3
            boxes[place].addWidget(self._group(name, actions))
        for box in boxes:
            box.setSpacing(20)
            box.addStretch(1)
            columns.addLayout(box, 1)
        if not groups:
            boxes[0].insertWidget(0, Label("No key of that name.", tone="3"))
        self.set_body(body)

    def _rank(self, group: tuple[str, list[Action]]) -> tuple[bool, int]:
        """In Live its own keys first; then the longest group."""
        _, actions = group
        own = self._keys.in_live and actions[0].scope is Scope.LIVE
        return not own, -len(actions)

    def _group(self, name: str, actions: list[Action]) -> QWidget:
        box = QWidget()
        grid = QGridLayout(box)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(8)
        grid.addWidget(Label(name, "heading"), 0, 0, 1, 2)
        scopes = {a.scope for a in actions}
        for i, action in enumerate(actions, start=1):
            grid.addWidget(self._keys_of(action), i, 0, Qt.AlignmentFlag.AlignLeft)
            text = Label(action.text, tone="2")
            text.setWordWrap(True)
            if len(scopes) > 1:
                text.setToolTip(SCOPE_NAMES[action.scope])
            grid.addWidget(text, i, 1)
        grid.setColumnMinimumWidth(0, theme.px(130))
        grid.setColumnStretch(1, 1)
        return box

    def _keys_of(self, action: Action) -> QWidget:
        parts: list[QWidget | int] = []
        if action.hold:
            parts.append(Label("Hold", "small", "3"))
        shown = list(dict.fromkeys(tuple(caps(k)) for k in self._keys.keys_here(action)))[:2]
        for i, sequence in enumerate(shown):
            if i:
                parts.append(Label("or", "small", "3"))
            parts.extend(KeyCap(c) for c in sequence)
        return row(*parts, spacing=4)
