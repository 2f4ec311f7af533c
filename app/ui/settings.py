"""Settings of this user on this PC: one JSON file, written at once. GUI thread.

``TROCAR_CONFIG`` names another folder. A file that cannot be read is put aside, never lost, and
the window starts with the defaults.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import platformdirs

log = logging.getLogger(__name__)

FILE = "settings.json"


@dataclass(slots=True, kw_only=True)
class Values:
    """All settings with their defaults.

    Attributes:
        theme: ``dark``, ``light`` or ``contrast``.
        follow_contrast: high contrast where the system asks for it, whatever ``theme`` says.
        text_scale: 0 follows the system's font size, else 1.0 to 1.5.
        overlay: name of the dial's position.
        fill: strength of the filled overlay, 0 to 0.35.
        procedure: the procedure of the last case that was made.
        models: task to name of the model to use; "" lets Trocar choose.
        workspace: the workspace open last.
        geometry: base64 of the window's geometry.
        layout: workspace to base64 of its splitters.
        analyse_at_once: start the analysis when a case is opened.
        engine: what computes the outlines, a key of ``app.inference.engines.kinds``, or ``auto``.
        live_sources: live sources used last, newest first, without passwords.
        live_record_at_once: record as soon as a live picture is there.
        live_reaction_ms: how long a hand needs; phases keyed live begin that much earlier.
        live_limit_ms: a live outline that is older is hidden.
        live_folder: where recordings are written; "" for the user's own folder for films.
        live_pedals: action to the key that its pedal sends.
    """

    theme: str = "dark"
    follow_contrast: bool = True
    text_scale: float = 0.0
    overlay: str = "outline"
    fill: float = 0.25
    procedure: str = "unknown"
    models: dict[str, str] = field(default_factory=dict)
    workspace: str = "library"
    geometry: str = ""
    layout: dict[str, str] = field(default_factory=dict)
    analyse_at_once: bool = True
    engine: str = "auto"
    live_sources: list[str] = field(default_factory=list)
    live_record_at_once: bool = False
    live_reaction_ms: int = 400
    live_limit_ms: int = 250
    live_folder: str = ""
    live_pedals: dict[str, str] = field(
        default_factory=lambda: {
            "live_mark": "F13",
            "live_pause": "F14",
            "live_snapshot": "F15",
        }
    )


def config_folder() -> Path:
    """Where the settings lie."""
    named = os.environ.get("TROCAR_CONFIG")
    return Path(named) if named else Path(platformdirs.user_config_dir("Trocar", appauthor=False))


class Settings:
    """The settings, read once and written on every change."""

    def __init__(self, folder: Path | None = None) -> None:
        self._path = (folder or config_folder()) / FILE
        self.values, self.quarantined = _read(self._path)

    def set(self, **changes: Any) -> None:
        """Change settings and write the file; a value of the wrong type is a bug.

        Raises:
            TypeError: a name or type that no setting has.
        """
        merged = {**asdict(self.values), **changes}
        if not _valid(merged):
            raise TypeError(f"Settings.set: unknown or wrongly typed among {sorted(changes)}")
        self.values = Values(**merged)
        self._write()

    def _write(self) -> None:
        text = json.dumps(asdict(self.values), indent=1, ensure_ascii=False)
        part = self._path.with_suffix(".part")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(text, encoding="utf-8")
            part.replace(self._path)
        except OSError as error:
            log.info("settings were not written: %s", error.strerror)


def _read(path: Path) -> tuple[Values, Path | None]:
    """The settings of a file, and where a broken file was put."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(data, dict):
            raise TypeError("expected an object")
    except FileNotFoundError:
        return Values(), None
    except (OSError, ValueError, TypeError) as error:
        log.info("settings cannot be read: %s", type(error).__name__)
        return Values(), _put_aside(path)
    known = {f.name for f in fields(Values)}
    kept = {k: v for k, v in data.items() if k in known and _valid({k: v})}
    return Values(**kept), None


def _valid(data: dict[str, Any]) -> bool:
    defaults = asdict(Values())
    return all(
        name in defaults
        and (
            isinstance(value, type(defaults[name]))
            or (isinstance(defaults[name], float) and isinstance(value, int))
        )
        and not (isinstance(value, bool) and not isinstance(defaults[name], bool))
        for name, value in data.items()
    )


def _put_aside(path: Path) -> Path | None:
    for number in range(1, 1000):
        aside = path.with_name(f"{path.stem}.broken-{number}{path.suffix}")
        if aside.exists():
            continue
        try:
            return path.replace(aside)
        except OSError:
            return None
    return None
