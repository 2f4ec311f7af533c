"""Which live source to watch, and how. GUI thread; devices are listed elsewhere and handed in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

from PySide6.QtCore import QStandardPaths, Qt, Signal
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QKeySequenceEdit,
    QLineEdit,
    QScrollArea,
    QSizePolicy,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from app.core.taxonomy import list_taxonomies
from app.ui import theme
from app.ui.settings import Settings
from app.ui.widgets import Button, Combo, Elided, IconButton, Label, column, mark, row

MOST_REMEMBERED = 5
PEDALS = (
    ("live_mark", "Mark the last 30 seconds"),
    ("live_pause", "Pause and look back"),
    ("live_snapshot", "Snapshot"),
)
ADDRESS_HINT = (
    "rtsp, rtmp, srt, udp, tcp or http. A password or stream key is used for this once and never "
    "remembered."
)
NO_DEVICES = "No camera or capture card was found. Connect one, then look again."
_HARMLESS = ("listen", "transport")


def without_credentials(text: str) -> str:
    """A source as it may be remembered: an address without what may be secret; "" for none."""
    if "://" not in text:
        return text
    from app.video.live.spec import UNSAID, safe_address

    safe = safe_address(text)
    query = urlencode([(k, v) for k, v in parse_qsl(urlsplit(text).query) if k in _HARMLESS])
    if UNSAID in safe:
        return ""
    return f"{safe}?{query}" if query else safe


def lacks_its_key(text: str) -> bool:
    """Whether a remembered source cannot be called before its stream key is typed again."""
    return text.lower().startswith(("rtmp://", "rtmps://")) and "?listen=" not in text


def recordings_folder(chosen: str) -> Path:
    """Where recordings are written: the folder in the settings, else the user's own for films."""
    if chosen:
        return Path(chosen)
    place = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.MoviesLocation)
    return Path(place or Path.home()) / "Trocar"


def shown_name(text: str) -> str:
    """A source as people read it."""
    kind, _, rest = text.partition(":")
    if kind == "device":
        return rest.replace("#", ", ")
    if kind == "file":
        return Path(rest).name
    return f"Screen at {rest}" if kind == "screen" else text


class SourceChooser(QWidget):
    """Sources to choose from, and what is decided before the picture comes.

    Signals:
        chosen: (source in words that ``parse_spec`` reads)
        devices_asked: list the devices again.
        pedals_changed: a pedal has another key.
    """

    chosen = Signal(str)
    devices_asked = Signal()
    pedals_changed = Signal()

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings
        mark(self, "bar")
        self.setAccessibleName("Choose a live source")
        self._devices = QVBoxLayout()
        self._devices.setSpacing(8)
        self._before = QVBoxLayout()
        self._before.setSpacing(4)
        body = QWidget()
        columns = QHBoxLayout(body)
        columns.setContentsMargins(32, 32, 32, 32)
        columns.setSpacing(40)
        columns.addStretch(1)
        columns.addWidget(self._sources(), 0, Qt.AlignmentFlag.AlignTop)
        columns.addWidget(self._decisions(), 0, Qt.AlignmentFlag.AlignTop)
        columns.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setWidget(body)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(scroll)
        self.show_devices(())
        self.show_remembered()

    # What is shown

    def show_devices(self, devices: Sequence[tuple[str, Sequence[tuple[str, str]]]]) -> None:
        """List devices.

        Args:
            devices: name and modes; a mode is its words and what is written behind ``#`` in the
                source's name, "" for the device's own choice.
        """
        _clear(self._devices)
        for name, modes in devices:
            self._devices.addWidget(self._device_row(name, modes))
        if not devices:
            nothing = Label(NO_DEVICES, tone="2")
            nothing.setWordWrap(True)
            self._devices.addWidget(nothing)

    def show_remembered(self) -> None:
        """List the sources used last."""
        _clear(self._before)
        remembered = self._settings.values.live_sources
        self._before_head.setVisible(bool(remembered))
        for text in remembered:
            self._before.addWidget(self._remembered_row(text))

    def remember(self, text: str) -> None:
        """Keep a source for the next time, without its password or stream key."""
        kept = without_credentials(text)
        if not kept:
            return
        others = [s for s in self._settings.values.live_sources if s != kept]
        self._settings.set(live_sources=[kept, *others][:MOST_REMEMBERED])
        self.show_remembered()

    @property
    def procedure(self) -> str:
        """Which operation was chosen."""
        return str(self.operation.currentData())

    # How it is laid out

    def _sources(self) -> QWidget:
        again = Button("Look again", "plain", tooltip="List cameras and capture cards again")
        again.clicked.connect(self.devices_asked)
        head = QWidget()
        line = QHBoxLayout(head)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(Label("Connected to this computer", "heading"))
        line.addStretch(1)
        line.addWidget(again)
        devices = QWidget()
        devices.setLayout(self._devices)
        self._devices.setContentsMargins(0, 0, 0, 0)
        before = QWidget()
        before.setLayout(self._before)
        self._before.setContentsMargins(0, 0, 0, 0)
        self._before_head = Label("Used before", "heading")
        hint = Label(ADDRESS_HINT, "small", "3")
        hint.setWordWrap(True)
        made = column(
            Label("Watch live", "display"),
            8,
            head,
            devices,
            12,
            Label("From an address", "heading"),
            self._address_row(),
            hint,
            12,
            Label("A file, as if it were live", "heading"),
            self._file_row(),
            12,
            Label("A part of the screen", "heading"),
            self._screen_row(),
            12,
            self._before_head,
            before,
        )
        made.setFixedWidth(theme.px(620))
        return made

    def _device_row(self, name: str, modes: Sequence[tuple[str, str]]) -> QWidget:
        choice = Combo(f"Mode of {name}")
        for words, mode in modes or (("As the device likes", ""),):
            choice.addItem(words, mode)

        def watch() -> None:
            mode = choice.currentData()
            self.chosen.emit(f"device:{name}#{mode}" if mode else f"device:{name}")

        return _row("video", Elided(name, "heading"), choice, _watch(watch, f"Watch {name}"))

    def _address_row(self) -> QWidget:
        self.address = QLineEdit()
        self.address.setPlaceholderText("rtsp://192.168.0.20/stream")
        self.address.setAccessibleName("Address")

        def watch() -> None:
            text = self.address.text().strip()
            if text:
                self.chosen.emit(text)
            else:
                self.address.setFocus(Qt.FocusReason.OtherFocusReason)

        self.address.returnPressed.connect(watch)
        return _row("radio", self.address, _watch(watch, "Watch the address"))

    def _file_row(self) -> QWidget:
        words = Elided("Plays at its own speed; for teaching and for trying things out", tone="2")

        def choose() -> None:
            name, _ = QFileDialog.getOpenFileName(self, "A file, as if it were live")
            if name:
                self.chosen.emit(f"file:{name}")

        button = Button("Choose a file", icon="folder-open")
        button.setMinimumHeight(theme.px(36))
        button.clicked.connect(choose)
        return _row("film", words, button)

    def _screen_row(self) -> QWidget:
        self.region = []
        parts: list[QWidget] = []
        screen = self.screen().geometry()
        for word, value, least in (
            ("Left", 0, 0),
            ("Top", 0, 0),
            ("Width", screen.width(), 16),
            ("Height", screen.height(), 16),
        ):
            field = QSpinBox()
            field.setRange(least, 8192)
            field.setValue(value)
            field.setAccessibleName(f"{word} of the part of the screen")
            field.setFixedWidth(theme.px(64))
            field.lineEdit().setTextMargins(7, 0, 0, 0)
            self.region.append(field)
            parts += [Label(word, "small", "2"), field]

        def watch() -> None:
            x, y, width, height = (f.value() for f in self.region)
            self.chosen.emit(f"screen:{x},{y},{width}x{height}")

        space = QWidget()
        space.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        return _row("monitor", *parts, space, _watch(watch, "Watch the part of the screen"))

    def _remembered_row(self, text: str) -> QWidget:
        def forget() -> None:
            kept = [s for s in self._settings.values.live_sources if s != text]
            self._settings.set(live_sources=kept)
            self.show_remembered()

        def complete() -> None:
            self.address.setText(f"{text}/")
            self.address.setFocus(Qt.FocusReason.OtherFocusReason)

        gone = IconButton("x", f"Forget {text}", "Forget this source", 16)
        gone.clicked.connect(forget)
        if lacks_its_key(text):
            watch = _watch(complete, f"Type the key of {text}", "Type its key")
        else:
            watch = _watch(lambda: self.chosen.emit(text), f"Watch {text}")
        return _row("history", Elided(shown_name(text), "heading"), gone, watch)

    def _decisions(self) -> QWidget:
        values = self._settings.values
        card = QFrame()
        card.setProperty("kind", "card")
        card.setFixedWidth(theme.px(400))
        grid = QGridLayout(card)
        grid.setContentsMargins(24, 20, 24, 20)
        grid.setVerticalSpacing(12)
        grid.setHorizontalSpacing(16)
        grid.setColumnStretch(0, 1)
        self.operation = Combo("Operation")
        self.operation.setSizeAdjustPolicy(
            Combo.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        for taxonomy in list_taxonomies():
            self.operation.addItem(taxonomy.name, taxonomy.procedure)
        self.operation.setCurrentIndex(max(0, self.operation.findData(values.procedure)))
        self.operation.activated.connect(lambda: self._settings.set(procedure=self.procedure))
        at_once = QCheckBox("Record as soon as the picture is there")
        at_once.setChecked(values.live_record_at_once)
        at_once.toggled.connect(lambda on: self._settings.set(live_record_at_once=on))
        reaction = self._number(
            "Your reaction time", values.live_reaction_ms, 0, 2000, "live_reaction_ms"
        )
        limit = self._number(
            "Outlines are hidden when older", values.live_limit_ms, 50, 2000, "live_limit_ms"
        )
        rows: list[tuple[str, QWidget]] = [
            ("Reaction time when keying", reaction),
            ("Hide outlines older than", limit),
        ]
        grid.addWidget(Label("Before it begins", "heading"), 0, 0, 1, 2)
        grid.addWidget(Label("Which operation is it?", tone="2"), 1, 0, 1, 2)
        grid.addWidget(self.operation, 2, 0, 1, 2)
        grid.addWidget(at_once, 3, 0, 1, 2)
        for i, (word, part) in enumerate(rows, start=4):
            grid.addWidget(Label(word, tone="2"), i, 0)
            grid.addWidget(part, i, 1)
        grid.addWidget(Label("Recordings are written to", tone="2"), 6, 0, 1, 2)
        grid.addWidget(self._folder_row(), 7, 0, 1, 2)
        grid.addWidget(Label("Pedals", "heading"), 8, 0, 1, 2)
        for i, (action, word) in enumerate(PEDALS, start=9):
            grid.addWidget(Label(word, tone="2"), i, 0)
            grid.addWidget(self._pedal(action, word), i, 1)
        note = Label("A pedal is a key: click the field, then step on it.", "small", "3")
        note.setWordWrap(True)
        grid.addWidget(note, 12, 0, 1, 2)
        return card

    def _folder_row(self) -> QWidget:
        def place() -> str:
            return str(recordings_folder(self._settings.values.live_folder))

        def choose() -> None:
            name = QFileDialog.getExistingDirectory(self, "A folder for recordings", place())
            if name:
                self._settings.set(live_folder=name)
                self.folder.setText(place())

        self.folder = Elided(place())
        change = Button("Change", tooltip="Another folder for recordings")
        change.clicked.connect(choose)
        return row(self.folder, change)

    def _number(self, name: str, value: int, least: int, most: int, setting: str) -> QSpinBox:
        field = QSpinBox()
        field.setRange(least, most)
        field.setSingleStep(50)
        field.setSuffix(" ms")
        field.setValue(value)
        field.setAccessibleName(name)
        field.setFixedWidth(theme.px(96))
        field.lineEdit().setTextMargins(7, 0, 0, 0)
        field.valueChanged.connect(lambda number: self._settings.set(**{setting: number}))
        return field

    def _pedal(self, action: str, word: str) -> QKeySequenceEdit:
        keys: Mapping[str, str] = self._settings.values.live_pedals
        field = QKeySequenceEdit(QKeySequence(keys.get(action, "")))
        field.setMaximumSequenceLength(1)
        field.setAccessibleName(f"Pedal: {word}")
        field.setFixedWidth(theme.px(96))

        def changed(sequence: QKeySequence) -> None:
            text = sequence.toString(QKeySequence.SequenceFormat.PortableText)
            pedals = {**self._settings.values.live_pedals, action: text}
            self._settings.set(live_pedals=pedals)
            self.pedals_changed.emit()

        field.keySequenceChanged.connect(changed)
        return field


def _row(icon: str, *parts: QWidget) -> QFrame:
    made = QFrame()
    made.setProperty("kind", "card")
    line = QHBoxLayout(made)
    line.setContentsMargins(14, 8, 10, 8)
    line.setSpacing(10)
    picture = Label()
    picture.setPixmap(theme.pixmap(icon, 20, "text_2", made.devicePixelRatioF()))
    line.addWidget(picture)
    for part in parts:
        stretch = 1 if isinstance(part, Elided | QLineEdit) else 0
        line.addWidget(part, stretch)
    return made


def _watch(watch: object, name: str, word: str = "Watch") -> Button:
    button = Button(word, "main")
    button.setAccessibleName(name)
    button.setMinimumHeight(theme.px(36))
    button.setMinimumWidth(theme.px(84))
    button.clicked.connect(watch)
    return button


def _clear(layout: QVBoxLayout) -> None:
    while layout.count():
        item = layout.takeAt(0)
        widget = item.widget() if item else None
        if widget is not None:
            widget.setParent(None)
            widget.deleteLater()
