"""What a run writes down while it goes on: ``log.csv``, sample pictures, who trains, TensorBoard.

Beside the checkpoint in the run folder, for the window, ``trocar runs`` and any spreadsheet. Runs
in a training process.
"""

from __future__ import annotations

import csv
import io
import os
import re
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from app.core.errors import EnvironmentProblem
from app.store.files import read_json, write_file, write_json

if TYPE_CHECKING:
    from models.training import Progress

PLAN, RUN, LOG = "plan.json", "run.json", "log.csv"
PROCESS = "process.json"
SAMPLES = "samples"
FINISH, PAUSE = "finish", "pause"
"""Files of these names ask the run in the folder to end and keep its best, and to end where it can
be gone on with."""
LESSON, TAUGHT = "lesson.json", "taught.json"
"""Of a fine-tune: what it was asked for, and what came of it."""
FRAMES = "frames"
"""Folder in a run folder: the first of a run's two parts, whose steps come before the second's."""
SECOND_TRAIN = "second_train"
"""Table of such a recipe's ``data``: fields of ``TrainConfig`` for the second part."""
LOSS, HELD_OUT = "loss_", "held_out_"
"""What columns of the log begin with: parts of the loss, figures of held-out material."""
TRUTH = "truth"
_SAMPLE = re.compile(r"(\d+|truth)-(\d+)\.jpg")
_JPEG_QUALITY = 88


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleFile:
    """One sample picture.

    Attributes:
        path: of the JPEG.
        step: batches learnt when the network saw it so; None for the truth.
        number: which of the pictures.
    """

    path: Path
    step: int | None
    number: int


class RunLog:
    """Writes the log of a run; a resumed run goes on in it, with no step twice.

    Args:
        run_folder: exists.
        first_step: batches done when this process begins; what lies beyond is learnt again.
        tensorboard: event files too, in ``tensorboard``.

    Raises:
        EnvironmentProblem: TensorBoard's package is not installed.
        OSError: the folder cannot be written.
    """

    def __init__(self, run_folder: Path, first_step: int, *, tensorboard: bool = False) -> None:
        self.folder = run_folder
        self._board = _board(run_folder, first_step) if tensorboard else None
        self.rows = [r for r in read_rows(run_folder) if int(r["step"]) <= first_step]
        self._names: list[str] = list(self.rows[0]) if self.rows else []
        if self.rows:
            self._write_file()
        else:
            (run_folder / LOG).unlink(missing_ok=True)
        for sample in sample_files(run_folder):
            if sample.step is not None and sample.step > first_step:
                sample.path.unlink(missing_ok=True)

    def add(self, now: Progress) -> None:
        """One row; figures that come up for the first time get a column."""
        row = {
            "step": str(now.step),
            "seconds": f"{now.seconds:.1f}",
            "learning_rate": f"{now.learning_rate:.6g}",
            "loss": f"{now.loss:.6g}",
        }
        row |= {LOSS + name: f"{value:.6g}" for name, value in now.parts.items()}
        row |= {HELD_OUT + name: f"{value:.6g}" for name, value in now.metrics.items()}
        if now.pieces > 1:
            row["pieces"] = str(now.pieces)
        self.rows.append(row)
        new = [name for name in row if name not in self._names]
        if new:
            self._names += new
            self._write_file()
        else:
            with (self.folder / LOG).open("a", encoding="utf-8", newline="") as file:
                csv.DictWriter(file, self._names).writerow(row)
        self._tell_board(now)

    def put_samples(self, step: int | None, pictures: Iterable[NDArray[np.uint8]]) -> None:
        """How the network sees the sample pictures at a step; None for what is true."""
        import cv2  # the window reads logs, and opens without it

        for number, rgb in enumerate(pictures):
            folder = self.folder / SAMPLES
            folder.mkdir(exist_ok=True)
            bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
            _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
            when = TRUTH if step is None else f"{step:07d}"
            write_file(folder / f"{when}-{number}.jpg", data.tobytes())

    def close(self) -> None:
        """Nothing more is written."""
        if self._board is not None:
            self._board.close()

    def _write_file(self) -> None:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self._names)
        writer.writeheader()
        writer.writerows(self.rows)
        write_file(self.folder / LOG, text.getvalue().encode())

    def _tell_board(self, now: Progress) -> None:
        if self._board is None:
            return
        self._board.add_scalar("loss/all", now.loss, now.step)
        self._board.add_scalar("learning_rate", now.learning_rate, now.step)
        for name, value in now.parts.items():
            self._board.add_scalar(f"loss/{name}", value, now.step)
        for name, value in now.metrics.items():
            self._board.add_scalar(f"held_out/{name}", value, now.step)
        self._board.flush()


def read_rows(run_folder: Path) -> list[dict[str, str]]:
    """The rows of a run's log by column; a last one that is not whole is left out."""
    try:
        text = (run_folder / LOG).read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    whole = text[: text.rfind("\n") + 1]
    rows = [{k: v or "" for k, v in r.items() if k} for r in csv.DictReader(io.StringIO(whole))]
    return [row for row in rows if row.get("step", "").isdecimal()]


def sample_files(run_folder: Path) -> list[SampleFile]:
    """The sample pictures of a run: by step, the truth first."""
    found = []
    for path in (run_folder / SAMPLES).glob("*.jpg"):
        if match := _SAMPLE.fullmatch(path.name):
            step = None if match[1] == TRUTH else int(match[1])
            found.append(SampleFile(path=path, step=step, number=int(match[2])))
    return sorted(found, key=lambda f: (-1 if f.step is None else f.step, f.number))


def begin(run_folder: Path, device: str = "", score: str = "", *, doing: str = "") -> None:
    """Note which process works here.

    Args:
        run_folder: of the run.
        device: what it trains on, in words.
        score: the figure that it trains for.
        doing: what it does instead of training, in words.
    """
    before = read_json(run_folder / PROCESS) or {}
    if not _is_mine(before) or before.get("ended"):
        _forget_wishes(run_folder)
    note = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "utc_ms": time.time_ns() // 1_000_000,
        "device": device,
        "score": score,
        "ended": "",
        "doing": doing,
    }
    write_json(run_folder / PROCESS, note)


def say(run_folder: Path, doing: str) -> None:
    """Note what this process does now, in words."""
    note = read_json(run_folder / PROCESS) or {}
    write_json(run_folder / PROCESS, {**note, "ended": "", "doing": doing})


def end(run_folder: Path, how: str) -> None:
    """Note how the process that trained here ended."""
    _forget_wishes(run_folder)
    note = read_json(run_folder / PROCESS) or {}
    write_json(run_folder / PROCESS, {**note, "ended": how, "doing": ""})


def say_share(run_folder: Path, doing: str, share: float) -> None:
    """As ``say``, with how much of it is done in whole percent, written where that has changed."""
    words = f"{doing}, {int(100 * share)} %"
    if (read_json(run_folder / PROCESS) or {}).get("doing") != words:
        say(run_folder, words)


def fail(run_folder: Path, sentence: str) -> None:
    """Note why this process ended without success, where it is the one that worked here."""
    note = read_json(run_folder / PROCESS) or {}
    if not _is_mine(note):
        return
    _forget_wishes(run_folder)
    how = note.get("ended") or "failed"
    write_json(run_folder / PROCESS, {**note, "ended": how, "doing": "", "sentence": sentence})


def _is_mine(note: dict[str, Any]) -> bool:
    return (note.get("pid"), note.get("host")) == (os.getpid(), socket.gethostname())


def _forget_wishes(run_folder: Path) -> None:
    for wish in (FINISH, PAUSE):
        (run_folder / wish).unlink(missing_ok=True)


def _board(run_folder: Path, first_step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise EnvironmentProblem(
            "TensorBoard files need the package tensorboard; install trocar[tensorboard], or "
            "train without --tensorboard: log.csv is written in any case.",
            str(error),
        ) from error
    return SummaryWriter(str(run_folder / "tensorboard"), purge_step=first_step + 1)
