"""A case's name that can be changed where it stands. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QWidget

from app.core.case import UNNAMED
from app.ui import theme
from app.ui.widgets import Label

DEFAULT_TITLE = UNNAMED
_LONGEST = 80


class TitleField(QLineEdit):
    """A field for a case's name; Enter and Esc are its own while it has the focus."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setMaxLength(_LONGEST)
        self.setPlaceholderText("A name for the case, never the patient's")
        self.setAccessibleName("Name of the case")

    def event(self, event: QEvent) -> bool:
        """Keep the window's shortcuts off Enter and Esc."""
        if (
            event.type() == QEvent.Type.ShortcutOverride
            and isinstance(event, QKeyEvent)
            and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Escape)
        ):
            event.accept()
            return True
        return super().event(event)


def editable_title(title: str) -> str:
    """What a field begins with: nothing for a case that was never named."""
    return "" if title == DEFAULT_TITLE else title


class CaseName(QWidget):
    """The open case's name; a click or ``edit`` makes it a field.

    Signals:
        renamed: (text) another name was entered.
        left: Enter or Esc closed the field.
    """

    renamed = Signal(str)
    left = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._title = ""
        self._editing = False
        self.editable = False
        self._label = Label("", "heading")
        self.field = TitleField()
        self.field.setMinimumWidth(theme.px(280))
        self.field.hide()
        self.field.returnPressed.connect(self._enter)
        self.field.installEventFilter(self)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._label)
        layout.addWidget(self.field)

    def text(self) -> str:
        """The name on screen."""
        return self._label.text()

    def show_name(self, shown: str, title: str, *, tooltip: str = "") -> None:
        """Show a name.

        Args:
            shown: what stands in the bar.
            title: the case's own name, with which the field begins; "" where nothing is open.
            tooltip: how it is changed; "" where it cannot be.
        """
        self._label.setText(shown)
        self._title, self.editable = title, bool(title and tooltip)
        self._label.setToolTip(tooltip)
        cursor = Qt.CursorShape.IBeamCursor if self.editable else Qt.CursorShape.ArrowCursor
        self._label.setCursor(cursor)
        self._finish(keep=False)

    def edit(self) -> None:
        """Open the field."""
        if self.editable and not self._editing:
            self._editing = True
            self.field.setText(editable_title(self._title))
            self._label.hide()
            self.field.show()
            self.field.selectAll()
            self.field.setFocus(Qt.FocusReason.OtherFocusReason)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """A click on the name."""
        if event.button() == Qt.MouseButton.LeftButton:
            self.edit()

    def eventFilter(self, watched: object, event: QEvent) -> bool:
        """Esc leaves the name as it is; going elsewhere keeps what was typed."""
        if watched is self.field and self._editing:
            if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
                if event.key() == Qt.Key.Key_Escape:
                    self._finish(keep=False)
                    self.left.emit()
                    return True
            elif event.type() == QEvent.Type.FocusOut:
                self._finish(keep=True)
        return False

    def _enter(self) -> None:
        self._finish(keep=True)
        self.left.emit()

    def _finish(self, *, keep: bool) -> None:
        if not self._editing:
            return
        self._editing = False
        self.field.hide()
        self._label.show()
        typed = self.field.text().strip()
        if keep and typed and typed != self._title:
            self.renamed.emit(typed)
