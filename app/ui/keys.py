"""Keys: one declarative table from which shortcuts, tooltips and the ``?`` sheet come.

A key may mean different things in different scopes; the narrowest scope that is active wins, and
the others are switched off meanwhile, so Qt never sees an ambiguous shortcut. Which scopes are
active follows from the workspace and from the focused widget (``set_widget_scope``). Digits are
read by key position, so AZERTY needs no Shift.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QKeyEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QApplication,
    QComboBox,
    QTabBar,
    QWidget,
)


class Scope(IntEnum):
    """Where a key counts; a higher number is narrower and wins."""

    EVERYWHERE = 0
    PLAYER = 1
    LIBRARY = 2
    ANNOTATE = 3
    TIMELINE = 4
    CANVAS = 5
    LIVE = 6
    LANES = 7


SCOPE_NAMES = {
    Scope.EVERYWHERE: "Everywhere",
    Scope.PLAYER: "Review and Annotate",
    Scope.LIBRARY: "Library",
    Scope.ANNOTATE: "Annotate",
    Scope.TIMELINE: "In the timeline",
    Scope.CANVAS: "On the picture",
    Scope.LIVE: "Live",
    Scope.LANES: "In Review's lanes",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """Something the user can do by key.

    Attributes:
        id: stable name, such as ``play``.
        text: what it does, in the words of the window.
        keys: key sequences in Qt's portable form; empty for an action without a key.
        scope: where it counts.
        group: heading in the key sheet.
        hold: acts while held (shown as ``Hold``); handled by the window, not by a shortcut.
        repeats: goes on while the key stays down.
    """

    id: str
    text: str
    keys: tuple[str, ...]
    scope: Scope
    group: str
    hold: bool = False
    repeats: bool = False


_SCOPE = "keyScope"
_BUTTON_KEYS = {"Space", "Return", "Enter"}
_ARROWS = {"Left", "Right", "Up", "Down", "Home", "End", "PgUp", "PgDown"}
_X11_DIGITS = {10 + i: (i + 1) % 10 for i in range(10)}
_WINDOWS_DIGITS = {2 + i: (i + 1) % 10 for i in range(10)}
_MAC_DIGITS = {18: 1, 19: 2, 20: 3, 21: 4, 23: 5, 22: 6, 26: 7, 28: 8, 25: 9, 29: 0}


def digit_of(event: QKeyEvent) -> int | None:
    """The digit 0 to 9 a key event stands for by its place on the keyboard, else None."""
    key = event.key()
    if Qt.Key.Key_0 <= key <= Qt.Key.Key_9:
        return key - Qt.Key.Key_0
    if sys.platform == "darwin":
        return _MAC_DIGITS.get(event.nativeVirtualKey())
    table = _WINDOWS_DIGITS if sys.platform == "win32" else _X11_DIGITS
    return table.get(event.nativeScanCode())


def set_widget_scope(widget: QWidget, scope: Scope) -> None:
    """Make a scope active while ``widget`` or a child of it has the focus."""
    widget.setProperty(_SCOPE, int(scope))


def conflicts(actions: Iterable[Action]) -> list[str]:
    """Sentences about keys that two actions of one scope share; empty when all is well."""
    seen: dict[tuple[Scope, str], Action] = {}
    found = []
    for action in actions:
        for key in action.keys:
            normal = QKeySequence(key).toString(QKeySequence.SequenceFormat.PortableText)
            other = seen.setdefault((action.scope, normal), action)
            if other is not action:
                found.append(f"{key} is both {other.text!r} and {action.text!r}")
    return found


class KeyMap(QObject):
    """Shortcuts of one window, made from the table.

    Signals:
        pressed: (action id) of a held action going down, released: going up.
        digit: (digit, modifiers) of a digit key nobody else wanted.
    """

    held = Signal(str)
    released = Signal(str)
    digit = Signal(int, Qt.KeyboardModifier)

    def __init__(self, window: QWidget, actions: Iterable[Action]) -> None:
        super().__init__(window)
        self._window = window
        self._actions: dict[str, Action] = {}
        self._callbacks: dict[str, Callable[[], object]] = {}
        self._shortcuts: list[tuple[Action, str, QShortcut]] = []
        self._pedals: list[tuple[Action, str, QShortcut]] = []
        self._workspace: frozenset[Scope] = frozenset({Scope.EVERYWHERE})
        self._blocked = False
        self.add(actions)
        application = QApplication.instance()
        assert isinstance(application, QApplication)  # noqa: S101 - the window is a widget
        application.focusChanged.connect(self._refresh)

    @property
    def actions(self) -> tuple[Action, ...]:
        """The whole table."""
        return tuple(self._actions.values())

    def add(self, actions: Iterable[Action]) -> None:
        """Add actions to the table."""
        for action in actions:
            self._actions[action.id] = action
        problems = conflicts(self._actions.values())
        if problems:
            raise ValueError("KeyMap: " + "; ".join(problems))

    def bind(self, action_id: str, callback: Callable[[], object]) -> None:
        """Say what an action does; its keys work from now on."""
        action = self._actions[action_id]
        self._callbacks[action_id] = callback
        for key in () if action.hold else action.keys:
            self._shortcuts.append((action, *self._shortcut(action, key, callback)))
        self._refresh()

    def _shortcut(
        self, action: Action, key: str, callback: Callable[[], object]
    ) -> tuple[str, QShortcut]:
        shortcut = QShortcut(QKeySequence(key), self._window)
        shortcut.setContext(Qt.ShortcutContext.WindowShortcut)
        shortcut.setAutoRepeat(action.repeats)
        shortcut.activated.connect(callback)
        return shortcut.key().toString(QKeySequence.SequenceFormat.PortableText), shortcut

    def set_pedals(self, pedals: Mapping[str, str]) -> str:
        """More keys for some actions, which a pedal sends; those set before no longer count.

        Args:
            pedals: action id to a key sequence in Qt's portable form, "" for none.

        Returns:
            Why a key is not used, in a sentence; "" where all are.
        """
        for entry in self._pedals:
            self._shortcuts.remove(entry)
            entry[2].setParent(None)
            entry[2].deleteLater()
        self._pedals.clear()
        problem = ""
        for id_, key in pedals.items():
            action = self._actions[id_]
            other = self._user_of(key, action.scope)
            if other is not None and other is not action:
                problem = f"{key} is the key of “{other.text}” already; step on another one."
            elif key and other is None:
                entry = (action, *self._shortcut(action, key, self._callbacks[id_]))
                self._shortcuts.append(entry)
                self._pedals.append(entry)
        self._refresh()
        return problem

    def _user_of(self, key: str, scope: Scope) -> Action | None:
        """Which action has a key in a scope or everywhere."""
        wanted = QKeySequence(key)
        heard = [(a, k) for a, k, _ in self._shortcuts]
        held = [(a, k) for a in self._actions.values() if a.hold for k in a.keys]
        for action, known in heard + held:
            if action.scope in (scope, Scope.EVERYWHERE) and QKeySequence(known) == wanted:
                return action
        return None

    def is_bound(self, action_id: str) -> bool:
        """Whether the action does something in this window."""
        return action_id in self._callbacks

    def trigger(self, action_id: str) -> None:
        """Do an action as if its key had been pressed."""
        self._callbacks[action_id]()

    def set_workspace(self, scopes: Iterable[Scope]) -> None:
        """The scopes that are active whatever has the focus."""
        self._workspace = frozenset({Scope.EVERYWHERE, *scopes})
        self._refresh()

    @property
    def in_live(self) -> bool:
        """Whether Live is on screen, where the player's keys have no meaning."""
        return Scope.LIVE in self._workspace

    def keys_here(self, action: Action) -> tuple[str, ...]:
        """Which keys of an action count in the workspace on screen, or one step away from it.

        In Live those of other workspaces do not count.
        """
        if action.scope not in self._workspace:
            return () if self.in_live else action.keys
        narrower = {s for s in self._workspace if s > action.scope}
        others = (a for a in self._actions.values() if a.scope in narrower)
        taken = {QKeySequence(k) for a in others for k in a.keys}
        return tuple(k for k in action.keys if QKeySequence(k) not in taken)

    def block(self, *, blocked: bool) -> None:
        """Switch all keys but Esc off while a sheet lies over the window."""
        self._blocked = blocked
        self._refresh()

    def active_scopes(self) -> frozenset[Scope]:
        """The workspace's scopes and those of the focused widget and its parents."""
        scopes = set(self._workspace)
        widget = QApplication.focusWidget()
        while widget is not None:
            value = widget.property(_SCOPE)
            if value is not None:
                scopes.add(Scope(value))
            widget = widget.parentWidget()
        return frozenset(scopes)

    def _refresh(self, *_: object) -> None:
        scopes, kept = self.active_scopes(), _kept_by(QApplication.focusWidget())
        best: dict[str, Scope] = {}
        for action, key, _shortcut in self._shortcuts:
            if action.scope in scopes:
                best[key] = max(action.scope, best.get(key, action.scope))
        for action, key, shortcut in self._shortcuts:
            wins = best.get(key) == action.scope and key not in kept
            shortcut.setEnabled(wins and not (self._blocked and key not in ("Esc", "?")))

    def press(self, event: QKeyEvent) -> bool:
        """Handle held keys and digits that reached the window. True when used."""
        if event.isAutoRepeat() or self._blocked:
            return False
        action = self._held_by(event)
        if action is not None:
            self.held.emit(action.id)
            return True
        digit = digit_of(event)
        if digit is None:
            return False
        self.digit.emit(digit, event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier)
        return True

    def release(self, event: QKeyEvent) -> bool:
        """End a held key. True when used."""
        action = None if event.isAutoRepeat() else self._held_by(event)
        if action is None:
            return False
        self.released.emit(action.id)
        return True

    def _held_by(self, event: QKeyEvent) -> Action | None:
        scopes = self.active_scopes()
        for action in self._actions.values():
            meant = any(QKeySequence(k)[0].key() == event.key() for k in action.keys)
            if action.hold and meant and action.scope in scopes:
                return action
        return None

    def hint(self, action_id: str) -> str:
        """The first key of an action as this platform writes it, "" without one."""
        keys = self._actions[action_id].keys
        return (
            QKeySequence(keys[0]).toString(QKeySequence.SequenceFormat.NativeText) if keys else ""
        )

    def tooltip(self, action_id: str) -> str:
        """What an action does and its key: every icon has one."""
        action, key = self._actions[action_id], self.hint(action_id)
        if not key:
            return action.text
        return f"{action.text}  ({'hold ' if action.hold else ''}{key})"


def _kept_by(widget: QWidget | None) -> set[str]:
    """Keys that the focused widget needs for itself."""
    if isinstance(widget, QAbstractButton):
        return _BUTTON_KEYS
    if isinstance(widget, QComboBox | QAbstractItemView):
        return _BUTTON_KEYS | _ARROWS
    if isinstance(widget, QAbstractSlider | QTabBar):
        return _ARROWS
    return set()
