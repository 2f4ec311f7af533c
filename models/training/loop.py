"""The one training loop: every network, every recipe. Runs in a training process.

A network maps inputs to an output; a loss maps output and targets to a scalar and its
named parts; batches come from a function of the first step, so that a resumed run sees the
batches it would have seen.
"""

from __future__ import annotations

import gc
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from math import exp, isnan
from pathlib import Path
from typing import Any, Unpack

import torch
from torch import Tensor, nn

from models.errors import OptionError
from models.training import ranks, saved
from models.training.config import TrainConfig, native_bf16
from models.training.optimiser import optimiser_of, set_rates
from models.training.pieces import enough_for_norms, pieces_of
from models.training.reports import Batches, Hooks, Loss, Progress, TrainResult

log = logging.getLogger(__name__)
LAST = "last.safetensors"
_ENDS = ("", "done", "cancelled", "stopped", "out of time", "no longer better")


class Trainer:
    """State of one run: weights, their average, the optimiser, the step.

    Args:
        network: trained in place, on the device its weights are on.
        config: how.
        run_folder: where `last.safetensors` is kept; None keeps nothing.
        weighting: for networks with several tasks, sets the gradients from the loss's parts by
            its `backward(parts)`; None for the loss's own. What it remembers is kept with the run.
    """

    def __init__(
        self,
        network: nn.Module,
        config: TrainConfig,
        run_folder: Path | None = None,
        weighting: nn.Module | None = None,
    ) -> None:
        torch.manual_seed(config.seed + ranks.ranks().rank)
        self.config, self.run_folder = config, run_folder
        self.network, self.weighting = network, weighting
        if all(parameter.ndim != 5 for parameter in network.parameters()):
            network.to(memory_format=torch.channels_last)
        self.average = deepcopy(network).eval() if config.average_decay else None
        self.optimiser = optimiser_of(network, config)
        self.device = next(network.parameters()).device
        bf16 = config.precision == "bf16" or (
            config.precision == "auto" and native_bf16(self.device)
        )
        self.autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=bf16)
        self.step = self.updates = 0
        self.pieces, self.worse = 1, 0
        self.share = 0.0
        self.started_s = time.monotonic()
        self.earlier_s = 0.0
        self.best: dict[str, float] = {}
        self.best_network: nn.Module | None = None

    @property
    def seconds(self) -> float:
        """Time the run has taken, earlier processes included up to their last checkpoint."""
        return self.earlier_s + time.monotonic() - self.started_s

    @property
    def result_network(self) -> nn.Module:
        """The weights to keep if the run ended now."""
        return self.average if self.average is not None else self.network

    def run(self, batches: Batches, loss_of: Loss, **hooks: Unpack[Hooks]) -> TrainResult:
        """Trains to the end, or until stopped.

        Args:
            batches: gives the iterator of (inputs, targets) from a step on.
            loss_of: gives the loss and its parts from output and targets, in float32. One that
                grows with the batch says so by `grows_with_batch`.
            hooks: see `Hooks`.

        Returns:
            The trained network and how the run ended.

        Raises:
            OptionError: it is to end when it gets no better, and nothing measures that.
            torch.OutOfMemoryError: memory does not hold one example.
        """
        evaluate, score = hooks.get("evaluate"), hooks.get("score", "")
        if self.config.patience and (evaluate is None or not score):
            raise OptionError("patience needs something held out to measure on.")
        with _deterministic(self.config):
            return self._run(batches, loss_of, hooks)

    def _run(self, batches: Batches, loss_of: Loss, hooks: Hooks) -> TrainResult:
        stream, config = batches(self.step), self.config
        told = hooks.get("on_progress", lambda _: None)
        seen: list[dict[str, float]] = []
        latest: list[dict[str, float]] = []
        measured_at = -1
        if self.step == 0:
            self._show(hooks)
        while not (ended := self._ended(hooks)):
            parts = self._learn(*next(stream), loss_of)
            if parts is None:
                log.info("training diverged at step %d", self.step)
                ended = "diverged"
                break
            seen.append(parts)
            latest = [parts]
            metrics: dict[str, float] = {}
            at_end = self.step == config.steps
            if self.step % config.save_every == 0 or at_end:
                metrics, measured_at = self._evaluate(hooks), self.step
                self.save()
            if metrics or at_end or self.step % config.report_every == 0:
                told(self._report(seen, metrics))
                seen = []
        if ended not in ("cancelled", "diverged") and measured_at != self.step:
            metrics = self._evaluate(hooks)
            if latest:
                told(self._report(seen or latest, metrics))
        if ended != "diverged":
            self.save()
        return TrainResult(
            network=(self.best_network or self.result_network).eval(),
            steps=self.step,
            seconds=self.seconds,
            ended=ended,
            best=self.best,
            pieces=self.pieces,
        )

    def _ended(self, hooks: Hooks) -> str:
        """How the run ends here, "" where it goes on; of several processes the first one says."""
        asked = ""
        self.share = self._progress()
        if self.step >= self.config.steps:
            asked = "done"
        elif hooks.get("should_stop", bool)():
            asked = "cancelled"
        elif hooks.get("should_finish", bool)():
            asked = "stopped"
        elif self.share >= 1:
            asked = "out of time"
        elif self.config.patience and self.worse >= self.config.patience:
            asked = "no longer better"
        number, self.share = ranks.agreed([float(_ENDS.index(asked)), self.share], self.device)
        return _ENDS[int(number)]

    def _progress(self) -> float:
        limit = self.config.max_seconds
        spent = 0.0 if limit is None else self.seconds / limit
        return max(self.step / (self.config.schedule_steps or self.config.steps), spent)

    def _learn(self, inputs: Tensor, targets: Any, loss_of: Loss) -> dict[str, float] | None:
        """One batch; None, with the weights as they were, when it is not finite."""
        self.network.train()
        kept = [] if self.average is not None else [b.clone() for b in self.network.buffers()]
        if self.config.freeze_norms:
            for module in self.network.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        set_rates(self.optimiser, self.config, self.step, self.share)
        inputs = inputs.to(self.device)
        targets = targets.to(self.device) if hasattr(targets, "to") else targets
        if inputs.ndim == 4:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        parts = self._gradients(inputs, targets, loss_of)
        if ranks.any_of(parts is None, self.device):
            for buffer, before in zip(self.network.buffers(), kept, strict=False):
                buffer.copy_(before)
            self.optimiser.zero_grad()
            return None
        self.step += 1
        due = self.step % self.config.accumulate == 0 or self.step == self.config.steps
        return None if due and not self._update(added=_grows(loss_of)) else parts

    def _gradients(self, inputs: Tensor, targets: Any, loss_of: Loss) -> dict[str, float] | None:
        """Adds a batch's gradients; where memory is short once more, then in smaller pieces.

        What an update had gathered before memory ran out is lost with the failed pass.
        """
        again = False
        while True:
            try:
                return self._in_pieces(inputs, targets, loss_of)
            except torch.OutOfMemoryError:
                if again and self.pieces >= len(inputs):
                    raise
            self.optimiser.zero_grad()
            gc.collect()
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            self.pieces *= 2 if again else 1
            again = True

    def _in_pieces(self, inputs: Tensor, targets: Any, loss_of: Loss) -> dict[str, float] | None:
        sums: dict[str, float] = {}
        for some, theirs in pieces_of(inputs, targets, self.pieces):
            share = len(some) / len(inputs)
            weight = 1.0 if _grows(loss_of) else share
            with self.autocast, enough_for_norms():
                output = self.network(some)
            loss, parts = loss_of(output, theirs)
            if not torch.isfinite(loss):
                return None
            if self.weighting is None:
                (loss * weight if weight != 1 else loss).backward()
            else:
                self.weighting.backward({k: v * share for k, v in parts.items()})
            sums["loss"] = sums.get("loss", 0.0) + loss.item() * weight
            for name, part in parts.items():
                sums[name] = sums.get(name, 0.0) + part.item() * share
        return sums

    def _update(self, *, added: bool) -> bool:
        """Moves the weights by what has added up; False where that is not finite."""
        ranks.share_gradients(self.network.parameters(), added=added)
        if self.config.clip_value:
            nn.utils.clip_grad_value_(self.network.parameters(), self.config.clip_value)
        limit = self.config.clip_norm or float("inf")
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), limit)
        if not torch.isfinite(norm):
            self.optimiser.zero_grad()
            return False
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.updates += 1
        self._follow()
        return True

    @torch.no_grad()
    def _follow(self) -> None:
        """Moves the averaged weights; the average's decay ramps up from zero."""
        if self.average is None:
            return
        decay = self.config.average_decay * (1 - exp(-self.updates / self.config.average_tau))
        now = self.network.state_dict()
        for name, kept in self.average.state_dict().items():
            if kept.is_floating_point():
                kept.lerp_(now[name], 1 - decay)
            else:
                kept.copy_(now[name])

    def _evaluate(self, hooks: Hooks) -> dict[str, float]:
        """Measures, and keeps the weights where they are the best so far; {} if nothing does."""
        evaluate, score = hooks.get("evaluate"), hooks.get("score", "")
        metrics: dict[str, float] = {}
        if evaluate is not None and ranks.ranks().is_first:
            network = self.result_network.eval()
            with torch.no_grad():
                metrics = evaluate(network)
            # What has nothing to measure on may be missing.
            now, best = (found.get(score, float("nan")) for found in (metrics, self.best))
            if not score:
                self.best = dict(metrics)
            elif not self.best or isnan(best) or now > best:
                self.best, self.best_network = dict(metrics), deepcopy(network)
                self.worse = 0
            else:
                self.worse += 1
        self._show(hooks)
        return metrics

    @torch.no_grad()
    def _show(self, hooks: Hooks) -> None:
        if "on_save" in hooks and ranks.ranks().is_first:
            hooks["on_save"](self.step, self.result_network.eval())

    def _report(self, seen: list[dict[str, float]], metrics: dict[str, float]) -> Progress:
        mean = {name: sum(s[name] for s in seen) / len(seen) for name in seen[0]}
        return Progress(
            step=self.step,
            steps=self.config.steps,
            loss=mean.pop("loss"),
            parts=mean,
            learning_rate=self.optimiser.param_groups[0]["lr"],
            seconds=self.seconds,
            metrics=metrics,
            pieces=self.pieces,
        )

    def save(self) -> None:
        """Writes the run folder's checkpoint, whole or not at all; nothing without a folder."""
        if self.run_folder is not None and ranks.ranks().is_first:
            saved.write(self, self.run_folder / LAST)

    def resume(self) -> bool:
        """Goes back to the last checkpoint of the run folder.

        Returns:
            Whether there was one.

        Raises:
            CheckpointError: it is damaged, or of another network or optimiser.
        """
        if self.run_folder is None or not (self.run_folder / LAST).exists():
            return False
        saved.read(self, self.run_folder / LAST)
        return True


def _grows(loss_of: Loss) -> bool:
    """Whether a loss is a sum over the batch's examples, not their mean."""
    return bool(getattr(loss_of, "grows_with_batch", False))


@contextmanager
def _deterministic(config: TrainConfig) -> Iterator[None]:
    """Operations that repeat to the bit while the block lasts, where the settings ask for them."""
    before = torch.are_deterministic_algorithms_enabled()
    if config.deterministic:
        # cuBLAS reads it when it is first used.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(mode=True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
