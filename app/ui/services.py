"""The composition root: the library, the settings and the workers of one window. GUI thread.

Workers live in named threads and are reached by signals. ``close`` ends them in the order of the
house: inference, overlay, decode, store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from app.ui.session import Session
from app.ui.settings import Settings

if TYPE_CHECKING:
    from app.store import Library


class Services(QObject):
    """Everything a window works with.

    Attributes:
        library: the open library (this process is its writer).
        settings: of this user.
        session: the open case.

    Signals:
        said: (Message) something to tell the user.
    """

    said = Signal(object)

    def __init__(self, library: Library, settings: Settings) -> None:
        super().__init__()
        self.library = library
        self.settings = settings
        self.session = Session(library)
        self.session.said.connect(self.said)
