"""What an empty library shows: the ways in, what Trocar promises, and nothing else. GUI thread."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFontMetricsF, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from app.ui import theme
from app.ui.demo_view import DemoView
from app.ui.keys import KeyMap
from app.ui.style import draw_ring, ring_shown
from app.ui.widgets import Label, column, draw_key_cap, line, row

PROMISES = (
    (
        "wifi-off",
        "text_2",
        "Nothing leaves this PC",
        "Its network use: a live source you name.",
    ),
    ("save", "text_2", "Every change is saved", "Undo works even after you close the window."),
    ("cpu", "text_2", "It runs on this PC", "On the graphics card where there is one."),
    (
        "triangle-alert",
        "warn",
        "For research and teaching",
        "Not a medical device. Do not use it to decide about a patient.",
    ),
)
MORE_WAYS = (
    ("folder-open", "Open a folder or USB stick", "Split files become one", "open_folder"),
    ("video", "Watch a live picture", "Camera, capture card, network", "workspace_live"),
)


class WayIn(QAbstractButton):
    """A big button: icon, title, second line, key."""

    def __init__(self, icon: str, title: str, second: str, key: str, *, main: bool) -> None:
        super().__init__()
        self._parts = (icon, title, second, key)
        self._main = main
        self.setText(title)
        self.setAccessibleName(f"{title}, {second}")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        self.setMaximumHeight(theme.px(68))

    def sizeHint(self) -> QSize:
        """A row of 68 pixels."""
        return QSize(theme.px(560), theme.px(68))

    def minimumSizeHint(self) -> QSize:
        """Room for both lines, in a low window."""
        return QSize(theme.px(320), theme.px(44))

    def paintEvent(self, event: QPaintEvent) -> None:
        """The button."""
        icon, title, second, key = self._parts
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        rect = QRectF(self.rect()).adjusted(2, 2, -2, -2)
        base = "accent" if self._main else "raised"
        if self.isDown():
            base = "accent_pressed" if self._main else "pressed"
        elif self.underMouse():
            base = "accent_hover" if self._main else "hover"
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.color(base))
        painter.drawRoundedRect(rect, 10, 10)
        ink = "on_accent" if self._main else "text"
        side = theme.px(24)
        picture = theme.pixmap(icon, side, ink, self.devicePixelRatioF())
        painter.drawPixmap(QPointF(rect.x() + 16, rect.center().y() - side / 2), picture)
        x = rect.x() + 16 + side + 14
        painter.setFont(theme.font("heading"))
        painter.setPen(theme.color(ink))
        painter.drawText(QPointF(x, rect.center().y() - theme.px(4)), title)
        painter.setFont(theme.font("small"))
        painter.setPen(theme.color("on_accent" if self._main else "text_2"))
        painter.drawText(QPointF(x, rect.center().y() + theme.px(15)), second)
        if key:
            wide = QFontMetricsF(theme.font("caption")).horizontalAdvance(key) + 12
            high = theme.px(18)
            cap = QRectF(rect.right() - wide - 16, rect.center().y() - high / 2, wide, high)
            draw_key_cap(painter, cap, key)
        if ring_shown(self):
            draw_ring(painter, QRectF(self.rect()), 12)


class FirstRun(QWidget):
    """The empty library.

    Signals:
        open_asked, demo_asked: a way in was chosen.
    """

    open_asked = Signal()
    demo_asked = Signal()

    def __init__(self, keys: KeyMap, *, demo: Path | None) -> None:
        super().__init__()
        self.picture: DemoView | None = None
        ways: list[QWidget | int] = [
            Label("Open your first case", "hero"),
            Label("Drop a recording, or a whole USB stick, anywhere in this window.", "lead", "2"),
            8,
        ]
        if demo is not None:
            look = WayIn(
                "play", "Look at the demo case", "Two minutes, made of synthetic pictures",
                keys.hint("demo"), main=True,
            )  # fmt: skip
            look.clicked.connect(self.demo_asked)
            ways.append(look)
        open_ = WayIn(
            "film", "Open a recording", "Video of nearly every kind, DICOM too",
            keys.hint("open"), main=demo is None,
        )  # fmt: skip
        open_.clicked.connect(self.open_asked)
        ways.append(open_)
        for icon, title, second, action in MORE_WAYS:
            way = WayIn(icon, title, second, keys.hint(action), main=False)
            way.clicked.connect(lambda _=False, asked=action: keys.trigger(asked))
            ways.append(way)
        left = column(*ways, spacing=8)
        left.setMaximumWidth(theme.px(760))
        promises = QWidget()
        grid = QGridLayout(promises)
        grid.setContentsMargins(0, 24, 0, 0)
        grid.setHorizontalSpacing(32)
        for i, promise in enumerate(PROMISES):
            grid.addWidget(_promise(*promise), 0, i, Qt.AlignmentFlag.AlignTop)
            grid.setColumnStretch(i, 1)
        foot = QLabel()
        foot = Label(f"Press {keys.hint('keys')} at any time to see the keys", "small", "3")
        top = QHBoxLayout()
        top.setSpacing(theme.px(48))
        top.addWidget(left, 1, Qt.AlignmentFlag.AlignVCenter)
        if demo is not None and demo.with_suffix(".jpg").is_file():
            self.picture = DemoView(demo)
            self.picture.clicked.connect(self.demo_asked)
            top.addWidget(self.picture)
        head = QWidget()
        head.setLayout(top)
        top.setContentsMargins(0, 0, 0, 0)
        body = column(head, 32, line(), promises, 16, foot, spacing=0)
        body.setMaximumWidth(theme.px(1320))
        layout = QVBoxLayout(self)
        layout.addStretch(2)
        side = QHBoxLayout()
        side.setContentsMargins(48, 0, 48, 0)
        side.addWidget(body)
        layout.addLayout(side)
        layout.addStretch(3)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The picture gives way where it would push the ways in together."""
        super().resizeEvent(event)
        if self.picture is not None:
            wide, high = theme.px(1180), theme.px(640)
            self.picture.setVisible(event.size().width() >= wide and event.size().height() >= high)


def _promise(icon: str, tint: str, title: str, text: str) -> QWidget:
    picture = QLabel()
    picture.setPixmap(theme.pixmap(icon, 16, tint, 2.0))
    second = Label(text, "small", "3")
    second.setWordWrap(True)
    return column(row(picture, Label(title, "heading"), 0), second, spacing=4)
