"""A training run in a folder of its own: weights, progress, and how it ended.

A run that was stopped or killed goes on where its last checkpoint was. What came out is in
``result.safetensors`` and ``run.json``; publishing turns it into a model with a card.
"""

from __future__ import annotations

import errno
import json
import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.core.errors import BadInput, EnvironmentProblem
from app.core.picture import LabelledPicture
from app.learning.datasets import entries_of
from app.learning.evaluation import Evaluation
from app.learning.lessons import lesson_of
from app.learning.recipes import Recipe
from app.learning.run_log import PLAN, RUN
from app.learning.run_record import failures_told, recorded

if TYPE_CHECKING:
    import torch

    from app.inference.device import DeviceChoice
    from models.training import Progress

RESULT = "result.safetensors"
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnd:
    """How a finished run ended.

    Attributes:
        steps: batches learnt from.
        seconds: of training, earlier processes of a resumed run included.
        ended: see ``models.training.TrainResult``.
        best: metrics of the kept weights, empty without evaluation.
        device: what it computed on, in words.
    """

    steps: int
    seconds: float
    ended: str
    best: dict[str, float]
    device: str = ""


def finished(run_folder: Path) -> RunEnd | None:
    """How the run in this folder ended, None while it has not."""
    path = run_folder / RUN
    if not path.exists():
        return None
    return RunEnd(**json.loads(path.read_text(encoding="utf-8")))


def write_end(run_folder: Path, end: RunEnd) -> None:
    """Note that the run in this folder has ended."""
    (run_folder / RUN).write_text(json.dumps(asdict(end)), encoding="utf-8")


def claim(run_folder: Path, plan: dict[str, Any], file: str = PLAN) -> None:
    """Write down what the run in this folder is of, or see that it is of the same.

    Raises:
        BadInput: a run of something else lies there; it would go on with the wrong lesson.
    """
    text = json.dumps(plan, indent=1, sort_keys=True)
    path = run_folder / file
    if path.exists():
        if path.read_text(encoding="utf-8") != text:
            raise BadInput(
                f"{run_folder.name} holds a run that was started with other material or "
                "settings; choose another name for this one."
            )
        return
    run_folder.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def train(
    recipe: Recipe,
    pictures: Sequence[LabelledPicture],
    run_folder: Path,
    *,
    network: torch.nn.Module | None = None,
    device: str | None = None,
    evaluate: Evaluation | None = None,
    tensorboard: bool = False,
    on_progress: Callable[[Progress], None],
    should_stop: Callable[[], bool] = lambda: False,
) -> RunEnd:
    """Train in ``run_folder``; a run that is already finished there is left as it is.

    A file ``finish`` in the folder ends the run as if it had been planned so, ``pause`` where it
    can be gone on with. Started by torch's launcher, its processes share every batch; the first
    one writes.

    Args:
        recipe: what and how; the same as before where a run goes on.
        pictures: labelled pictures to learn from besides the phantom.
        run_folder: where checkpoints, log, samples and the result go.
        network: where to start; None for fresh weights.
        device: see ``device_for``.
        evaluate: measures it; None for no measuring, which keeps the last weights.
        tensorboard: event files beside the log.
        on_progress, should_stop: see ``models.training.Hooks``.

    Raises:
        BadInput: the recipe asks for what there is not, the folder holds another run or is
            trained in by another process, or the run diverged.
        EnvironmentProblem: the graphics card failed, or the folder cannot be written.
    """
    import torch

    from app.inference.cards import model_errors
    from models.checkpoint import save_weights
    from models.training import LAST
    from models.training.ranks import joined

    train_plan = {k: v for k, v in recipe.train.items() if k != "max_seconds"}
    names = [f"{p.group}/{p.name}" for p in entries_of(pictures)]
    plan = {**asdict(recipe), "train": train_plan, "card": {}, "pictures": names}
    with failures_told(run_folder), model_errors(), _disk_errors(run_folder):
        chosen = device_for(device)
        with joined(torch.device(chosen.device)) as mine:
            if mine.is_first:
                claim(run_folder, plan)
            done = finished(run_folder)
            if done is not None:
                return done
            _check_settings(recipe, mine.count)
            words = device_words(chosen, recipe)
            record = recorded(
                run_folder, words, evaluate, tensorboard=tensorboard, writes=mine.is_first
            )
            with _card_errors(chosen), record as told:
                result = lesson_of(recipe, pictures)(
                    run_folder,
                    network=network,
                    device=chosen.device,
                    evaluate=evaluate,
                    score=evaluate.score if evaluate else "",
                    on_progress=_both(told.on_progress, on_progress),
                    on_save=told.on_save,
                    should_stop=lambda: should_stop() or told.is_asked_to_pause(),
                    should_finish=told.is_asked_to_finish,
                )
                told.ended = result.ended
        if result.ended == "diverged":
            kept = ""
            if (run_folder / LAST).exists():
                kept = f"the last good checkpoint is kept in {run_folder.name}, "
            raise BadInput(
                f"Training {recipe.name} diverged: its loss is no number any more after "
                f"{result.steps} batches; {kept}start again under another name with a smaller "
                "learning rate."
            )
        if result.pieces > 1:
            words += f", batches in {result.pieces} pieces where memory was short"
        end = RunEnd(
            steps=result.steps,
            seconds=result.seconds,
            ended=result.ended,
            best=result.best,
            device=words,
        )
        if end.ended != "cancelled" and mine.is_first:
            save_weights(result.network, run_folder / RESULT, half=True)
            write_end(run_folder, end)
    return end


def _both(
    first: Callable[[Progress], None], then: Callable[[Progress], None]
) -> Callable[[Progress], None]:
    def tell(now: Progress) -> None:
        first(now)
        then(now)

    return tell


def device_for(asked: str | None) -> DeviceChoice:
    """Where to train: what was asked for, else an NVIDIA card that works, else the processor.

    Of several processes each gets a card of its own.

    Raises:
        BadInput: there are fewer cards than processes.
    """
    from app.inference.device import choose_device
    from models.training.ranks import ranks

    mine, asked = ranks(), asked or "cuda"
    if mine.count == 1 or asked != "cuda":
        return choose_device(asked)
    choice = choose_device(f"cuda:{mine.local}")
    if choice.is_cpu and not choose_device("cuda").is_cpu:
        raise BadInput(
            f"There is no graphics card for process {mine.local + 1} of this computer; start as "
            "many as there are cards (--nproc-per-node)."
        )
    return choice


def device_words(choice: DeviceChoice, recipe: Recipe) -> str:
    """What a run computes on, for its card."""
    import torch

    from models.training import TrainConfig, native_bf16

    precision = TrainConfig(**recipe.train).precision
    bf16 = precision == "bf16" or (precision == "auto" and native_bf16(torch.device(choice.device)))
    name = choice.name
    if choice.is_cpu:
        count = torch.get_num_threads()
        name = f"processor ({platform.machine()}), {count} thread{'s' if count > 1 else ''}"
    return f"{name}, {'bfloat16' if bf16 else 'float32'}"


def _check_settings(recipe: Recipe, processes: int) -> None:
    from models.training import TrainConfig

    if recipe.batch % processes:
        raise BadInput(
            f"The recipe's batch of {recipe.batch} cannot be shared evenly by {processes} "
            "processes; start another number of them or change the batch."
        )
    known = [f.name for f in fields(TrainConfig)]
    for name in recipe.train:
        if name not in known:
            raise BadInput(
                f"The recipe {recipe.name} sets train.{name}, which there is not; there are "
                f"{', '.join(known)}."
            )


@contextmanager
def _card_errors(choice: DeviceChoice) -> Iterator[None]:
    """A graphics card that fails becomes a sentence; what was saved is kept."""
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        raise EnvironmentProblem(
            f"{choice.name} has too little free memory even for one picture at a time; close what "
            "else uses it, or go on at the last checkpoint with the same command and --device cpu.",
            str(error),
        ) from error
    except torch.AcceleratorError as error:
        raise EnvironmentProblem(
            f"{choice.name} stopped working; the same command with --device cpu goes on at the "
            "last checkpoint.",
            str(error),
        ) from error


@contextmanager
def _disk_errors(run_folder: Path) -> Iterator[None]:
    """A folder that takes no more becomes a sentence; the last checkpoint is whole."""
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK:
            raise
        raise EnvironmentProblem(
            f"The run in {run_folder.name} cannot be saved ({error.strerror}); free some space or "
            "make the folder writable, and the same command goes on at the last checkpoint.",
            f"{type(error).__name__} {error.errno}",
        ) from error
