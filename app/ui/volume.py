"""On or off, how loud, and which track: the sound's part of the transport plate. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QSignalBlocker, Qt
from PySide6.QtWidgets import QHBoxLayout, QMenu, QWidget

from app.ui import theme
from app.ui.keys import KeyMap
from app.ui.sound import RecordingSound
from app.ui.widgets import IconButton, RingSlider

_STEPS = 20


class VolumeControl(QWidget):
    """A button and a slider; where a recording has several sound tracks, the button has a menu.

    Args:
        keys: of the window.
    """

    def __init__(self, keys: KeyMap) -> None:
        super().__init__()
        self._tooltip = keys.tooltip("sound")
        self._hint = keys.hint("sound")
        self._sound: RecordingSound | None = None
        self.button = IconButton("volume-x", "Sound, off", self._tooltip, 18, "osd_text")
        self.button.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.slider = RingSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, _STEPS)
        self.slider.setPageStep(4)
        self.slider.setFixedWidth(theme.px(56))
        self.slider.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(theme.px(4))
        for part in (self.button, self.slider):
            layout.addWidget(part, 0, Qt.AlignmentFlag.AlignVCenter)
        self.button.clicked.connect(lambda: keys.trigger("sound"))
        self.button.customContextMenuRequested.connect(lambda _: self.open_menu())
        self.slider.valueChanged.connect(self._moved)

    def follow(self, sound: RecordingSound) -> None:
        """Show and steer this sound."""
        self._sound = sound
        sound.changed.connect(self._show)
        self._show()

    def open_menu(self) -> QMenu | None:
        """Sound on or off, and which track, above the button."""
        if self._sound is None or self._sound.why_not:
            return None
        menu = sound_menu(self, self._sound, self._hint)
        menu.popup(self.button.mapToGlobal(QPoint(0, -menu.sizeHint().height())))
        return menu

    def _show(self) -> None:
        sound = self._sound
        assert sound is not None  # noqa: S101 - followed
        why_not, on = sound.why_not, sound.is_on and not sound.why_not
        more = f"\nRight-click for its {len(sound.tracks)} tracks" if len(sound.tracks) > 1 else ""
        self.button.set_icon("volume-2" if on else "volume-x")
        self.button.setAccessibleName("Sound, on" if on else "Sound, off")
        for part in (self.button, self.slider):
            part.setEnabled(not why_not)
            part.setToolTip(why_not or self._tooltip + more)
            part.setAccessibleDescription(why_not)
        with QSignalBlocker(self.slider):
            self.slider.setValue(round(sound.volume * _STEPS) if on else 0)
        self.slider.setAccessibleName(f"Volume, {round(sound.volume * 100)} %" if on else "Volume")

    def _moved(self, step: int) -> None:
        if self._sound is not None:
            self._sound.set_volume(step / _STEPS)


def sound_menu(parent: QWidget, sound: RecordingSound, hint: str) -> QMenu:
    """Sound on or off, and which track; it deletes itself.

    Args:
        hint: the key that turns it on, beside the words.
    """
    menu = QMenu(parent)
    menu.setAccessibleName("Sound")
    words = "Turn the sound off" if sound.is_on else "Turn the sound on"
    menu.addAction(f"{words}\t{hint}", sound.toggle)
    if len(sound.tracks) > 1:
        menu.addSeparator()
        for number, name in enumerate(sound.tracks):
            entry = menu.addAction(name, lambda n=number: sound.choose(n))
            entry.setCheckable(True)
            entry.setChecked(number == sound.choice)
    menu.aboutToHide.connect(menu.deleteLater)
    return menu
