"""``trocar doctor``: which device, why, how fast the models are here, and what is installed."""

from __future__ import annotations

import platform
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer

from app.cli.common import JsonOption, LibraryOption, emit, library_folder, progress
from app.cli.engines import ladder_json, ladder_words
from app.core.errors import BadInput, TrocarError
from app.inference.engines.kinds import KINDS, why_absent

NOT_MEASURED = "not measured yet; “trocar engines” does it, or the first longer analysis."
BACKUP_MISSED_S = 24 * 3600.0  # one is made every half hour of work and at closing
PACKAGES = (
    "torch",
    "openvino",
    "onnxruntime",
    "av",
    "numpy",
    "opencv-python-headless",
    "PySide6-Essentials",
    "safetensors",
    "sounddevice",
    "sqlite-utils",
    "pycocotools",
)


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("doctor")
    def doctor(
        device: Annotated[
            str | None, typer.Option(help="cuda, mps or cpu. Default: the best that works.")
        ] = None,
        library: LibraryOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Say what the models run on here, why, and how fast."""
        from app.inference.cards import RUNNABLE_TASKS, model_cards
        from app.inference.device import choose_device
        from app.inference.engines.ladder import kept_ladders
        from app.inference.trial import trial_ms
        from app.video.sound.sinks import sound_problem
        from app.video.versions import ffmpeg_version

        choice = choose_device(device)
        cards = [c for c in model_cards(library_folder(library)) if c.task in RUNNABLE_TASKS]
        speeds: dict[str, float] = {}
        problems = library_problems(library_folder(library))
        with progress("Trying the models", quiet=as_json) as bar:
            for card in bar.track(cards, task_id=bar.task_ids[0]):
                try:
                    speeds[card.name], used = trial_ms(card, choice)
                except BadInput as error:
                    problems.append(error.user_message)
                    continue
                if used != choice:
                    problems.append(used.reason)
        ladders = kept_ladders(cards, choice)
        absent = {k.key: why for k in KINDS if (why := why_absent(k, choice.device))}
        found = {
            "device": choice.device,
            "name": choice.name,
            "reason": choice.reason,
            "memory_mb": choice.memory_mb,
            "ms_per_frame": speeds,
            "engines": [ladder_json(ladder) for ladder in ladders],
            "engines_absent": absent,
            "ffmpeg": ffmpeg_version(),
            "sound": sound_problem() or "can be played",
            "versions": versions(),
            "problems": problems,
        }
        lines = [
            f"Device:   {choice.name} ({choice.device}), {choice.memory_mb} MB",
            f"Why:      {choice.reason}",
            *(f"Model:    {name}, {ms:.0f} ms a frame" for name, ms in speeds.items()),
            *(f"Engines:  {line}" for ladder in ladders for line in ladder_words(ladder)),
            *([] if ladders else [f"Engines:  {NOT_MEASURED}"]),
            *([] if ladders else [f"Engines:  {why}" for why in absent.values()]),
            f"FFmpeg:   {found['ffmpeg']}",
            f"Sound:    {found['sound']}",
            "Versions: " + ", ".join(f"{k} {v}" for k, v in versions().items()),
            *(f"Problem:  {p}" for p in problems),
        ]
        emit(found, as_json=as_json, text="\n".join(lines))


def library_problems(folder: Path) -> list[str]:
    """Why the library cannot be read, or that its backups are not made any more."""
    from app.store import Library
    from app.store.library import DATABASE

    if not (folder / DATABASE).is_file():
        return []
    try:
        with Library.open(folder, "read") as library:
            since = library.changed_since_backup_utc_ms()
    except TrocarError as error:
        return [error.user_message]
    if since is None or time.time() - since / 1000 < BACKUP_MISSED_S:
        return []
    day = datetime.fromtimestamp(since / 1000, UTC).astimezone()
    return [
        f"Work since {day:%Y-%m-%d %H:%M} is in no backup; check the disk's free space and the "
        "permissions of the library's folder backups, or make one with “trocar backup”."
    ]


def versions() -> dict[str, str]:
    """Of Python, Trocar and what it stands on."""
    found = {"python": platform.python_version(), "system": platform.platform(terse=True)}
    for package in ("trocar", *PACKAGES):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
