"""What is known about the selected outline, and the buttons for it. GUI thread."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QCheckBox, QGridLayout, QHBoxLayout, QVBoxLayout, QWidget

from app.overlay import ShownInstance
from app.ui import theme
from app.ui.annotate.editor import Editor, verdict_words
from app.ui.keys import KeyMap
from app.ui.widgets import Button, Combo, Elided, Label, line
from app.ui.words import count


class TrackStrip(QWidget):
    """Where in the recording the selected object was seen: a bar per stretch, white for now."""

    def __init__(self) -> None:
        super().__init__()
        self._spans: tuple[tuple[float, float], ...] = ()
        self._now = 0.0
        self._colour = theme.outlines()[0]
        self.setAccessibleName("Track")
        self.setFixedHeight(theme.px(14))

    def show_track(
        self, spans: tuple[tuple[float, float], ...], now: float, colour: object
    ) -> None:
        """Stretches and the present moment, as shares of the recording from 0 to 1."""
        self._spans, self._now, self._colour = spans, now, colour  # type: ignore[assignment]
        self.setAccessibleDescription(f"Seen in {len(spans)} stretches")
        self.update()

    def sizeHint(self) -> QSize:
        """14 high."""
        return QSize(120, theme.px(14))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Bars and the playhead."""
        painter = QPainter(self)
        width, middle = self.width(), self.height() / 2
        painter.fillRect(QRectF(0, middle - 1, width, 2), theme.color("line_strong"))
        tone = theme.blend(self._colour, theme.color("panel"), 0.55)
        for start, end in self._spans:
            x0, x1 = start * width, end * width
            painter.fillRect(QRectF(x0, middle - 3, max(x1 - x0, 2), 6), tone)
        painter.fillRect(
            QRectF(self._now * width - 1, 1, 2, self.height() - 2), theme.color("text")
        )


class Details(QWidget):
    """The selected outline: class, what is left of the model's, area, track, buttons.

    Signals:
        delete_asked: the delete button; the workspace asks which frames.
    """

    delete_asked = Signal()

    def __init__(
        self,
        editor: Editor,
        keys: KeyMap,
        instruments: Callable[[], tuple[tuple[str, str], ...]],
    ) -> None:
        super().__init__()
        self._editor = editor
        self._instruments = instruments
        self._title = Elided("", "heading")
        self._who = Label("", "small", "3")
        self.classes = Combo("Class")
        self.classes.activated.connect(self._relabel)
        self.whole_track = Button("On the whole track", "link")
        self.whole_track.setToolTip("Give this class to the outline on every frame of its track")
        self.whole_track.clicked.connect(self._relabel_track)
        self._kept, self._area = Label(""), Label("")
        self.strip = TrackStrip()
        self.accept = Button("Accept", "main", tooltip=keys.tooltip("outline_accept"))
        self.reject = Button("Reject", tooltip=keys.tooltip("outline_reject"))
        self.delete = Button("Delete", icon="trash-2", tooltip=keys.tooltip("outline_delete"))
        self.accept.clicked.connect(editor.accept)
        self.reject.clicked.connect(editor.reject)
        self.delete.clicked.connect(self.delete_asked)
        self.complete = QCheckBox("Frame is complete")
        self.complete.setToolTip(
            "Every instrument of this frame is outlined as it should be; such a frame can teach  "
            f"({keys.hint('frame_complete')})"
        )
        self.complete.clicked.connect(lambda on: editor.set_complete(complete=on))
        self.accept_all = Button("Accept all", tooltip=keys.tooltip("outline_accept_all"))
        self.accept_all.clicked.connect(editor.accept_all)
        self._build()
        editor.changed.connect(self.refresh)
        editor.selection_changed.connect(self.refresh)

    def _build(self) -> None:
        box = QVBoxLayout(self)
        box.setContentsMargins(16, 12, 16, 12)
        box.setSpacing(8)
        head = QHBoxLayout()
        head.addWidget(self._title, 1)
        head.addWidget(self._who)
        box.addLayout(head)
        grid = QGridLayout()
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(6)
        grid.setColumnStretch(1, 1)
        self._rows = []
        for row, (words, widget) in enumerate(
            (
                ("Class", self.classes),
                ("", self.whole_track),
                ("Kept from model", self._kept),
                ("Area", self._area),
                ("Track", self.strip),
            )
        ):
            name = Label(words, "body", "2")
            grid.addWidget(name, row, 0)
            stretch = widget in (self.classes, self.strip)
            align = Qt.AlignmentFlag(0) if stretch else Qt.AlignmentFlag.AlignLeft
            grid.addWidget(widget, row, 1, align)
            self._rows.append((name, widget))
        box.addLayout(grid)
        answer = QHBoxLayout()
        answer.setSpacing(8)
        for button in (self.accept, self.reject, self.delete):
            answer.addWidget(button, 1)
        box.addLayout(answer)
        box.addSpacing(4)
        box.addWidget(line())
        foot = QHBoxLayout()
        foot.addWidget(self.complete, 1)
        foot.addWidget(self.accept_all)
        box.addLayout(foot)

    def refresh(self) -> None:
        """Show what is selected now."""
        shown = self._editor.selected
        self._fill_classes(shown)
        self._title.setText(self._editor.name_of(shown) if shown else "New outlines")
        self._who.setText(verdict_words(shown) if shown else "")
        self._show_row(self.whole_track, visible=shown is not None and shown.track is not None)
        known = shown is not None and shown.track is not None and self._editor.is_of_run(shown)
        self._show_row(self.strip, visible=known)
        kept = self._kept_share(shown)
        self._show_row(self._kept, visible=kept is not None)
        if kept is not None:
            self._kept.setText(f"{round(100 * kept)} % of pixels")
        self._show_row(self._area, visible=shown is not None)
        if shown is not None:
            self._area.setText(f"{count(shown.mask.area_px)} px")
        self._enable(shown)

    def _enable(self, shown: ShownInstance | None) -> None:
        locked = self._editor.locked_reason
        is_open = shown is not None and shown.annotation is None
        why = locked or "Pick an outline first"
        for button, possible, reason in (
            (self.accept, is_open, why if shown is None else "You decided already"),
            (self.reject, shown is not None, why),
            (self.delete, shown is not None, why),
        ):
            button.setEnabled(possible and not locked)
            button.setAccessibleDescription("" if possible and not locked else locked or reason)
        any_open = any(s.annotation is None for s in self._editor.instances)
        self.accept_all.setEnabled(any_open and not locked)
        self.classes.setEnabled(not locked)
        self.whole_track.setEnabled(not locked)
        self.complete.setEnabled(not locked and self._editor.identity is not None)
        self.complete.setChecked(self._editor.is_complete)

    def _show_row(self, widget: QWidget, *, visible: bool) -> None:
        for name, field in self._rows:
            if field is widget:
                name.setVisible(visible)
                field.setVisible(visible)

    def _kept_share(self, shown: ShownInstance | None) -> float | None:
        """Share of the model's pixels that the human kept, None where there is no model's word."""
        said = self._editor.original_of(shown) if shown and shown.annotation else None
        if said is None or shown is None or not said.mask.area_px:
            return None
        return said.mask.intersection_px(shown.mask) / said.mask.area_px

    def _fill_classes(self, shown: ShownInstance | None) -> None:
        known = self._instruments()
        label = shown.label if shown else self._editor.label
        if label not in dict(known):
            known = (*known, (label, label.replace("_", " ").capitalize()))
        if known != tuple(
            (self.classes.itemData(i), self.classes.itemText(i))
            for i in range(self.classes.count())
        ):
            self.classes.clear()
            for key, name in known:
                self.classes.addItem(name, key)
        self.classes.setCurrentIndex(self.classes.findData(label))

    def _relabel(self, place: int) -> None:
        self._editor.relabel(self.classes.itemData(place))

    def _relabel_track(self) -> None:
        self._editor.relabel_track(self.classes.currentData())
