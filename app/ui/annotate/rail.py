"""The tool rail: one column of tools, then undo and redo. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QButtonGroup, QFrame, QVBoxLayout

from app.ui import theme
from app.ui.annotate.canvas import Canvas
from app.ui.keys import KeyMap
from app.ui.widgets import IconButton, line, mark


class Rail(QFrame):
    """Tools of the canvas, 44 wide."""

    def __init__(self, canvas: Canvas, keys: KeyMap) -> None:
        super().__init__()
        mark(self, "panel")
        self.setAccessibleName("Tools")
        self.setFixedWidth(theme.px(44))
        self._canvas = canvas
        self._keys = keys
        box = QVBoxLayout(self)
        box.setContentsMargins(6, 8, 6, 8)
        box.setSpacing(4)
        self._group = QButtonGroup(self)
        self.tools: dict[str, IconButton] = {}
        for tool in canvas.tools:
            button = IconButton(tool.icon, tool.name, keys.tooltip(tool.id))
            button.setCheckable(True)
            button.clicked.connect(lambda _=False, i=tool.id: self._take(i))
            self._group.addButton(button)
            self.tools[tool.id] = button
            box.addWidget(button, 0, Qt.AlignmentFlag.AlignHCenter)
        box.addSpacing(4)
        box.addWidget(line())
        box.addSpacing(4)
        self.undo = self._command("undo-2", "undo")
        self.redo = self._command("redo-2", "redo")
        box.addWidget(self.undo, 0, Qt.AlignmentFlag.AlignHCenter)
        box.addWidget(self.redo, 0, Qt.AlignmentFlag.AlignHCenter)
        box.addStretch(1)
        canvas.tool_changed.connect(self._follow)
        self._follow()

    def lock(self, reason: str) -> None:
        """Switch the tools that change something off, and say why; "" switches them on."""
        for tool in self._canvas.tools:
            button = self.tools[tool.id]
            button.setEnabled(not reason or not tool.needs_frame)
            button.setToolTip(reason or self._keys.tooltip(tool.id))
        for action, button in (("undo", self.undo), ("redo", self.redo)):
            button.setEnabled(not reason)
            button.setToolTip(reason or self._keys.tooltip(action))

    def _command(self, icon: str, action: str) -> IconButton:
        text = self._keys.tooltip(action)
        button = IconButton(icon, text.split("  (")[0], text)
        button.clicked.connect(lambda: self._keys.trigger(action))
        return button

    def _take(self, tool_id: str) -> None:
        self._canvas.set_tool(tool_id)
        self._canvas.setFocus(Qt.FocusReason.OtherFocusReason)

    def _follow(self) -> None:
        self.tools[self._canvas.tool.id].setChecked(True)
