"""The library on the disk. The only room that knows SQL."""

from app.store.backups import Backup
from app.store.corrections import HistoryEntry, Saved
from app.store.library import Library
from app.store.predictions import PredictionStore, Presence
from app.store.writer import Writer

__all__ = ["Backup", "HistoryEntry", "Library", "PredictionStore", "Presence", "Saved", "Writer"]
