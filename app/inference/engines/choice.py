"""Which engine computes for one model: the one asked for, else the fastest that says the same.

Starts with PyTorch, so that nothing waits; where nothing is known about this machine yet, a child
process finds out beside a longer analysis. Belongs to the thread that owns the device.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from app.core.errors import EnvironmentProblem, Refused
from app.core.prediction import Instance
from app.inference.device import DeviceChoice
from app.inference.engines import ladder as ladders
from app.inference.engines.eager import Eager, Engine
from app.inference.engines.examining import load
from app.inference.engines.guard import compare, is_telling
from app.inference.engines.kinds import AUTOMATIC, EAGER, kind_of, why_absent
from app.inference.engines.trial import Trial
from app.inference.outputs import Output
from app.inference.postprocess import rules_of
from app.inference.preprocess import Fit
from models import ModelCard

log = logging.getLogger(__name__)

_PATIENCE_S = 20.0
_CHECK_EVERY = 25


class Engines:
    """The engine in use, and what stands below it on the ladder.

    Args:
        card: of a segmentation model with weights.
        threads: of the processor.
        wanted: an engine's key, or `AUTOMATIC`.
        may_measure: a child process may find out what is fastest, where that is not known; without
            it, PyTorch computes where nothing is known.

    Attributes:
        used: keys of the engines that have computed, in order.

    Raises:
        BadInput: the weights are missing or damaged, or there is no such engine.
    """

    def __init__(
        self, card: ModelCard, threads: int, wanted: str = EAGER, *, may_measure: bool = True
    ) -> None:
        if wanted != AUTOMATIC:
            kind_of(wanted)
        self.eager = Eager(card)
        self.used: list[str] = []
        self._card, self._rules = card, rules_of(card)
        self._threads, self._wanted = threads, wanted
        self._may_measure = may_measure
        self._settled: tuple[str, tuple[int, int]] | None = None
        self._engine: Engine | None = None
        self._below: list[str] = []
        self._until_check: int | None = 0
        self._trial: Trial | None = None
        self._spent_s = 0.0

    def forward(self, picture: NDArray[np.uint8], choice: DeviceChoice) -> Output:
        """The raw output of a picture uint8 (H, W, 3), through the engine in use.

        An engine that fails is left for the next one below it.

        Raises:
            RuntimeError: PyTorch itself failed on the device.
            EnvironmentProblem: the engine that was asked for cannot be here.
            Refused: it does not say what PyTorch says, or nobody knows.
        """
        self.settle(picture, choice)
        start = time.perf_counter()
        output = self._computed(picture, choice)
        self._spent_s += time.perf_counter() - start
        key = self.key
        if key not in self.used:
            self.used.append(key)
        return output

    def checked(
        self,
        output: Output,
        found: tuple[Instance, ...],
        picture: NDArray[np.uint8],
        fit: Fit,
        choice: DeviceChoice,
    ) -> Output | None:
        """Hold the engine against PyTorch on a frame of the recording itself, until one tells.

        Args:
            output: of the engine in use for ``picture``.
            found: what it means.
            picture, fit: the frame as the network sees it, and its geometry.
            choice: the device.

        Returns:
            PyTorch's output where the engine has just been refused, else None.

        Raises:
            Refused: the engine was asked for by name, and does not say what PyTorch says.
        """
        self._go_on_trying(found, picture, choice)
        if self._engine is None or self._until_check is None:
            return None
        if self._until_check:
            self._until_check -= 1
            return None
        reference = self.eager.forward(picture, choice)
        difference = compare(reference, output, fit, self._rules, self._card)
        self._until_check = None if difference.telling else _CHECK_EVERY
        if not difference.faults():
            return None
        key = self.key
        log.info("%s is left on this recording. %s", kind_of(key).title, difference.words)
        self._remember_refusal(key, difference.words, choice)
        if self._wanted == key:
            raise Refused(_refusal(key, difference.words))
        self._use_next(choice)
        return reference

    @property
    def key(self) -> str:
        """Of the engine that computes now."""
        return EAGER if self._engine is None else self._engine.key

    @property
    def precision(self) -> str:
        """What it computes in."""
        return "fp32" if self._engine is None else self._engine.precision

    def describe(self) -> dict[str, str]:
        """For provenance: the engines that have computed, none before the first frame, and the
        precision now."""
        return {"engine": ", ".join(self.used), "precision": self.precision if self.used else ""}

    def _computed(self, picture: NDArray[np.uint8], choice: DeviceChoice) -> Output:
        while self._engine is not None:
            try:
                return self._engine.forward(picture)
            except RuntimeError as error:
                log.info("%s failed and is left: %s", kind_of(self.key).title, error)
                self._use_next(choice)
        return self.eager.forward(picture, choice)

    def settle(self, picture: NDArray[np.uint8], choice: DeviceChoice) -> None:
        """Choose and load an engine for a picture's size and a device, where they are new.

        Raises:
            EnvironmentProblem: the engine that was asked for cannot be here.
            Refused: it does not say what PyTorch says, or nobody knows.
        """
        size = (picture.shape[1], picture.shape[0])
        if self._wanted == EAGER or self._settled == (choice.device, size):
            return
        self._settled, self._trial = (choice.device, size), None
        known = ladders.read(self._card, choice, size, self._threads)
        if self._wanted != AUTOMATIC:
            self._below = [self._named(known, picture, choice), EAGER]
        else:
            self._below = [] if known is None else known.usable()
            self._may_measure = self._may_measure and (known is None or not known.is_whole)
        self._use_next(choice)

    def _named(
        self, known: ladders.Ladder | None, picture: NDArray[np.uint8], choice: DeviceChoice
    ) -> str:
        """The engine that was asked for, once it has passed the guard here."""
        key = self._wanted
        if why := why_absent(kind_of(key), choice.device):
            raise EnvironmentProblem(why)
        rung = known.rung(key) if known else None
        untried = rung is None or rung.passed is None
        if untried and not self._may_measure:
            log.info("%s was never tried on this model and waits", kind_of(key).title)
            return EAGER
        if untried:
            trial = Trial(self._card, choice, self._threads, picture, only=key)
            trial.wait()
            size = (picture.shape[1], picture.shape[0])
            known = ladders.read(self._card, choice, size, self._threads)
            rung = known.rung(key) if known else None
        if rung is None:
            raise EnvironmentProblem(
                f"{kind_of(key).title} could not be tried on this model; choose another engine."
            )
        if rung.passed:
            return key
        if rung.ms is None:
            raise EnvironmentProblem(f"{rung.words} Choose another engine.")
        raise Refused(_refusal(key, rung.words))

    def _use_next(self, choice: DeviceChoice) -> None:
        self._engine, self._until_check = None, 0
        assert self._settled is not None  # noqa: S101 - settle comes first
        while self._below:
            key = self._below.pop(0)
            if key == EAGER:
                return
            try:
                self._engine = load(key, self.eager, choice, self._settled[1], self._threads)
            except EnvironmentProblem as error:
                log.info("%s is not used: %s", kind_of(key).title, error)
            else:
                return

    def _go_on_trying(
        self, found: tuple[Instance, ...], picture: NDArray[np.uint8], choice: DeviceChoice
    ) -> None:
        """Have a child process measure once a longer analysis is under way; use what it found."""
        if self._trial is not None and self._trial.is_over:
            self._trial, self._settled = None, None  # chosen anew at the next frame
            self._may_measure = False
        elif (
            self._may_measure
            and self._wanted == AUTOMATIC
            and self._trial is None
            and self._spent_s > _PATIENCE_S
            and is_telling(found, self._rules.score_threshold)
        ):
            self._trial = Trial(self._card, choice, self._threads, picture)

    def _remember_refusal(self, key: str, words: str, choice: DeviceChoice) -> None:
        assert self._settled is not None  # noqa: S101 - settle comes first
        known = ladders.read(self._card, choice, self._settled[1], self._threads)
        if known is not None:
            rungs = (replace(r, passed=False, words=words) if r.engine == key else r
                     for r in known.rungs)  # fmt: skip
            ladders.write(self._card, choice, replace(known, rungs=tuple(rungs)))


def _refusal(key: str, words: str) -> str:
    return f"{kind_of(key).title} is not used here. {words} Choose another engine."
