"""A run written down while it goes on, and the wish that it may end. Runs in a training process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from app.core.errors import BadInput, TrocarError
from app.learning import run_log
from app.learning.evaluation import Evaluation
from app.learning.run_log import FINISH, FRAMES, PAUSE, RunLog, sample_files
from app.learning.run_view import trained_now

if TYPE_CHECKING:
    from torch import nn

    from models.training import Progress


class RunRecord:
    """What the training loop tells of itself, written into the run folder.

    Args:
        run_folder: of the run.
        log: None where another process of the run writes.
        evaluate: whose samples are kept.

    Attributes:
        ended: how the run ended, as far as it has been said.
    """

    def __init__(self, run_folder: Path, log: RunLog | None, evaluate: Evaluation | None) -> None:
        self.ended = "failed"
        self._folder, self._log, self._evaluate = run_folder, log, evaluate

    def on_progress(self, now: Progress) -> None:
        """A row of the log."""
        if self._log is not None:
            self._log.add(now)

    def on_save(self, step: int, network: nn.Module) -> None:
        """How the network sees the samples; before that, once, what is true."""
        if self._log is None or self._evaluate is None:
            return
        if not sample_files(self._log.folder):
            self._log.put_samples(None, self._evaluate.samples(None))
        self._log.put_samples(step, self._evaluate.samples(network))

    def is_asked_to_finish(self) -> bool:
        """Whether somebody wants the run to end and keep its best."""
        return (self._folder / FINISH).exists()

    def is_asked_to_pause(self) -> bool:
        """Whether somebody wants the run to end where it can be gone on with."""
        return (self._folder / PAUSE).exists()


def check_alone(run_folder: Path) -> None:
    """See that no other process works in a run folder.

    Raises:
        BadInput: one does.
    """
    if (other := trained_now(run_folder)) not in (None, os.getpid()):
        raise BadInput(
            f"The run in {run_folder.name} is going on in process {other}; wait for it or choose "
            "another folder."
        )


@contextmanager
def failures_told(run_folder: Path) -> Iterator[None]:
    """The sentence that ends a run early is kept with it, for those who did not see it."""
    try:
        yield
    except TrocarError as error:
        with suppress(OSError):
            run_log.fail(run_folder, error.user_message)
        raise


@contextmanager
def recorded(
    run_folder: Path,
    device: str,
    evaluate: Evaluation | None,
    *,
    tensorboard: bool,
    writes: bool,
) -> Iterator[RunRecord]:
    """Writes a run down while the block lasts, and how it ended.

    Args:
        run_folder: claimed for this run.
        device: in words.
        evaluate: what measures it.
        tensorboard: event files beside the log.
        writes: whether this is the process of the run that does.

    Raises:
        BadInput: another process trains in this folder.
    """
    from models.training import LAST
    from models.training.saved import step_of

    if not writes:
        yield RunRecord(run_folder, None, None)
        return
    check_alone(run_folder)
    step = sum(step_of(folder / LAST) for folder in (run_folder / FRAMES, run_folder))
    log = RunLog(run_folder, step, tensorboard=tensorboard)
    record = RunRecord(run_folder, log, evaluate)
    run_log.begin(run_folder, device, evaluate.score if evaluate else "")
    try:
        yield record
    except KeyboardInterrupt:
        record.ended = "cancelled"
        raise
    finally:
        log.close()
        # A full disk is told by what met it first.
        with suppress(OSError):
            run_log.end(run_folder, record.ended)
