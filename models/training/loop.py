"""The one training loop: every network, every recipe. Runs in a training process.

A network maps inputs to an output; a loss maps output and targets to a scalar and its
named parts; batches come from a function of the first step, so that a resumed run sees the
batches it would have seen.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from math import exp, isnan
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.checkpoint import read_tensors, write_tensors
from models.errors import CheckpointError
from models.training.config import TrainConfig, native_bf16

log = logging.getLogger(__name__)

Batches = Callable[[int], Iterator[tuple[Tensor, Any]]]
Loss = Callable[[Any, Any], tuple[Tensor, dict[str, Tensor]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What a run reports while it goes on.

    Attributes:
        step: batches done.
        steps: batches in all.
        loss: mean loss since the last report.
        parts: mean of its named parts.
        learning_rate: of the weights.
        seconds: of the run, earlier processes included.
        metrics: of the last evaluation; empty before the first.
    """

    step: int
    steps: int
    loss: float
    parts: dict[str, float]
    learning_rate: float
    seconds: float
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """How a run ended.

    Attributes:
        network: the averaged weights in eval mode; the best ones by evaluation where the
            run had one.
        steps: batches done, those before a resume included.
        seconds: of the run, earlier processes included.
        ended: "done", "out of time", "cancelled" or "diverged".
        best: metrics of the returned weights; empty without evaluation.
    """

    network: nn.Module
    steps: int
    seconds: float
    ended: str
    best: dict[str, float]


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
        torch.manual_seed(config.seed)
        self.config, self.run_folder = config, run_folder
        self.network, self.weighting = network, weighting
        if all(parameter.ndim != 5 for parameter in network.parameters()):
            network.to(memory_format=torch.channels_last)
        self.average = deepcopy(network).eval() if config.average_decay else None
        self.optimiser = _optimiser(network, config)
        self.device = next(network.parameters()).device
        bf16 = config.precision == "bf16" or (
            config.precision == "auto" and native_bf16(self.device)
        )
        self.autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=bf16)
        self.step = self.updates = 0
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

    def run(
        self,
        batches: Batches,
        loss_of: Loss,
        *,
        evaluate: Callable[[nn.Module], dict[str, float]] | None = None,
        score: str = "",
        on_progress: Callable[[Progress], None] = lambda _: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> TrainResult:
        """Trains to the end, or until stopped.

        Args:
            batches: gives the iterator of (inputs, targets) from a step on.
            loss_of: gives the loss and its parts from output and targets, in float32.
            evaluate: measures a network in eval mode, every `save_every` steps and at the end.
            score: the metric by which the best weights are kept; larger is better.
            on_progress: called every `report_every` steps, on this thread.
            should_stop: asked before every step.

        Returns:
            The trained network and how the run ended.
        """
        stream, ended = batches(self.step), "done"
        seen: list[dict[str, float]] = []
        metrics: dict[str, float] = {}
        while self.step < self.config.steps:
            if should_stop():
                ended = "cancelled"
                break
            if self._progress() >= 1:
                ended = "out of time"
                break
            parts = self._learn(*next(stream), loss_of)
            if parts is None:
                log.info("training diverged at step %d", self.step)
                ended = "diverged"
                break
            seen.append(parts)
            at_save = self.step % self.config.save_every == 0
            if at_save and evaluate is not None:
                metrics = self._evaluate(evaluate, score)
            if at_save:
                self.save()
            if self.step % self.config.report_every == 0 or self.step == self.config.steps:
                on_progress(self._report(seen, metrics))
                seen = []
        if evaluate is not None and ended != "cancelled" and self.step % self.config.save_every:
            self._evaluate(evaluate, score)
        if ended != "diverged":
            self.save()
        return TrainResult(
            network=(self.best_network or self.result_network).eval(),
            steps=self.step,
            seconds=self.seconds,
            ended=ended,
            best=self.best,
        )

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
        self._set_rates()
        inputs = inputs.to(self.device)
        targets = targets.to(self.device) if hasattr(targets, "to") else targets
        if inputs.ndim == 4:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        with self.autocast:
            output = self.network(inputs)
        loss, parts = loss_of(output, targets)
        if not torch.isfinite(loss):
            for buffer, before in zip(self.network.buffers(), kept, strict=False):
                buffer.copy_(before)
            return None
        if self.weighting is None:
            loss.backward()
        else:
            self.weighting.backward(parts)
        self.step += 1
        if self.step % self.config.accumulate == 0 or self.step == self.config.steps:
            if self.config.clip_value:
                nn.utils.clip_grad_value_(self.network.parameters(), self.config.clip_value)
            limit = self.config.clip_norm or float("inf")
            norm = nn.utils.clip_grad_norm_(self.network.parameters(), limit)
            if not torch.isfinite(norm):
                self.optimiser.zero_grad()
                return None
            self.optimiser.step()
            self.optimiser.zero_grad()
            self.updates += 1
            self._follow()
        return {"loss": loss.item(), **{name: part.item() for name, part in parts.items()}}

    def _set_rates(self) -> None:
        config = self.config
        warm = min((self.step + 1) / max(config.warmup_steps, 1), 1.0)
        target = config.learning_rate * config.rate(self._progress())
        for group in self.optimiser.param_groups:
            start = config.warmup_bias_rate if group["kind"] == "bias" else None
            group["lr"] = target * warm + (start or 0.0) * (1 - warm)
            if config.warmup_momentum is not None and "momentum" in group:
                low = config.warmup_momentum
                group["momentum"] = low + (config.momentum - low) * warm

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

    @torch.no_grad()
    def _evaluate(
        self, evaluate: Callable[[nn.Module], dict[str, float]], score: str
    ) -> dict[str, float]:
        network = self.result_network.eval()
        metrics = evaluate(network)
        if not self.best or isnan(self.best[score]) or metrics[score] > self.best[score]:
            self.best, self.best_network = dict(metrics), deepcopy(network)
        return metrics

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
        )

    def save(self) -> None:
        """Writes `last.safetensors`, whole or not at all; does nothing without a folder."""
        if self.run_folder is None:
            return
        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        beside = {
            "average": self.average,
            "best": self.best_network,
            "weighting": self.weighting,
        }
        for prefix, network in beside.items():
            if network is not None:
                tensors |= {f"{prefix}.{k}": v for k, v in network.state_dict().items()}
        for index, state in self.optimiser.state_dict()["state"].items():
            for key, value in state.items():
                if value is not None:
                    tensors[f"optimiser.{index}.{key}"] = torch.as_tensor(value)
        tensors["random"] = torch.get_rng_state()
        # Gradients of a begun update are not kept: its batches are learnt again.
        begun = self.step % self.config.accumulate if self.step < self.config.steps else 0
        about = {
            "step": self.step - begun,
            "updates": self.updates,
            "seconds": self.seconds,
            "best": self.best,
        }
        write_tensors(self.run_folder / "last.safetensors", tensors, {"run": json.dumps(about)})

    def resume(self) -> bool:
        """Goes back to the last checkpoint of the run folder.

        Returns:
            Whether there was one.

        Raises:
            CheckpointError: it is damaged, or of another network or optimiser.
        """
        if self.run_folder is None or not (path := self.run_folder / "last.safetensors").exists():
            return False
        tensors, metadata = read_tensors(path)
        try:
            about = json.loads(metadata["run"])
            self.network.load_state_dict(_under(tensors, "network"))
            if self.average is not None:
                self.average.load_state_dict(_under(tensors, "average"))
            if self.weighting is not None:
                self.weighting.load_state_dict(_under(tensors, "weighting"))
            if best := _under(tensors, "best"):
                self.best_network = deepcopy(self.result_network)
                self.best_network.load_state_dict(best)
            whole = self.optimiser.state_dict()
            whole["state"] = {}
            for name, value in _under(tensors, "optimiser").items():
                index, key = name.split(".", 1)
                whole["state"].setdefault(int(index), {})[key] = value
            self.optimiser.load_state_dict(whole)
        except (KeyError, RuntimeError, ValueError) as error:
            raise CheckpointError(
                f"{path.name} belongs to another run; start again in an empty folder."
            ) from error
        self.step, self.updates, self.best = about["step"], about["updates"], about["best"]
        self.earlier_s = about.get("seconds", 0.0)
        torch.set_rng_state(tensors["random"])
        return True


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    head = f"{prefix}."
    return {k.removeprefix(head): v for k, v in tensors.items() if k.startswith(head)}


def _optimiser(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Weights with decay, norms and other vectors without, biases apart for their warm-up."""
    kinds: dict[str, list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        plain = parameter.ndim < 2 or getattr(parameter, "_no_weight_decay", False)
        kind = "bias" if name.endswith("bias") else "vector" if plain else "weight"
        kinds.setdefault(kind, []).append(parameter)
    groups = [
        {
            "params": parameters,
            "kind": kind,
            "weight_decay": config.weight_decay * (kind == "weight"),
        }
        for kind, parameters in kinds.items()
    ]
    if config.optimiser == "sgd":
        return torch.optim.SGD(
            groups, lr=config.learning_rate, momentum=config.momentum, nesterov=True
        )
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(config.momentum, 0.999))
