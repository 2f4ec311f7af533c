"""What an earlier run left of its recordings is completed at the start, in ``trocar-recover``.

The same thread then imports what Live needs, which would hold up the window when it is opened.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from app.ui.background import Background
from app.ui.messages import Message, Tone, from_error

if TYPE_CHECKING:
    from app.live import Recovered
    from app.store import Library

_LASTING_S = 20.0
_IMPORT_AFTER_S = 2.0
_OF_LIVE = ("app.ui.live.control", "app.ui.live.workspace", "app.live", "app.live.look_back")


class Recovery(QObject):
    """Recordings that a crash interrupted become cases again.

    Signals:
        said: (Message) what was recovered.
        recovered: something was; list the cases again.
        case_asked: (case id) open the case of what was recovered.
    """

    said = Signal(object)
    case_asked = Signal(str)
    recovered = Signal()
    _told = Signal(object)

    def __init__(self, library: Library) -> None:
        super().__init__()
        self._library = library
        self._closing = threading.Event()
        self._work = Background("trocar-recover")
        self._told.connect(self._tell)

    def start(self) -> None:
        """Look for recordings that are not finished."""
        if self._library.is_writable:
            failed = self.said.emit
            self._work.run(self._recover, failed=lambda error: failed(from_error(error)))
        self._work.run(self._import_live)

    def close(self) -> None:
        """Stop; what is left is done at the next start."""
        self._closing.set()
        self._work.close()

    def _recover(self) -> None:
        if not self._library.recordings():
            return
        from app.live import recover

        recover(self._library, self._closing.is_set, self._told.emit)

    def _import_live(self) -> None:
        """Not while the window itself begins."""
        if not self._closing.wait(_IMPORT_AFTER_S):
            for module in _OF_LIVE:
                import_module(module)

    def _tell(self, one: Recovered) -> None:
        if self._closing.is_set():
            return
        key = f"recovered-{one.case_id}"
        message = Message(text=one.sentence, tone=Tone.WARN, key=key)
        if one.length_s:
            message = replace(
                message,
                tone=Tone.OK,
                button="Open the case",
                action=lambda: self.case_asked.emit(one.case_id),
                lasting_s=_LASTING_S,
            )
        self.said.emit(message)
        self.recovered.emit()
