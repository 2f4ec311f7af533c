"""What the window tells the user in its message slot: one sentence, one button, details."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from app.core.errors import TrocarError


class Tone(StrEnum):
    """How a message is meant; names its icon's colour token."""

    OK = "ok"
    INFO = "accent"
    WARN = "warn"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message.

    Attributes:
        text: one sentence for the user.
        tone: how it is meant.
        button: verb on the button, "" for none.
        action: what the button does.
        detail: technical text behind ``Details``, "" for none.
        key: a later message of the same key replaces this one.
        lasting_s: seconds until it goes by itself, 0 to stay.
    """

    text: str
    tone: Tone = Tone.INFO
    button: str = ""
    action: Callable[[], object] | None = None
    detail: str = ""
    key: str = ""
    lasting_s: float = 0.0


def from_error(error: TrocarError, key: str = "") -> Message:
    """The message of an error the user can understand."""
    return Message(text=error.user_message, tone=Tone.ERROR, detail=error.detail, key=key)
