"""A live source as a case: captured, recorded, marked while it runs, finished in the background."""

from app.live.deleting import delete_with_recording
from app.live.finishing import Recovered, finish_recording, recover
from app.live.session import LiveSession

__all__ = [
    "LiveSession",
    "Recovered",
    "delete_with_recording",
    "finish_recording",
    "recover",
]
