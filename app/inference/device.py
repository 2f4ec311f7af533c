"""Which processor the networks run on, why, and what happens when it fails.

Runs on the thread that owns the device. A graphics card is used only after it has done a small
piece of work; one that fails, then or later, is left for the processor, and the reason is kept in
words for the window and the log.
"""

from __future__ import annotations

import logging
import platform
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil
import torch

from app.core.errors import BadInput

log = logging.getLogger(__name__)

CPU = "cpu"
_MEBIBYTE = 1 << 20
_NAME = re.compile(r"cuda(:\d+)?|mps|cpu")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceChoice:
    """Where networks run.

    Attributes:
        device: torch's name: ``cuda:0``, ``mps`` or ``cpu``.
        name: of the hardware, as people know it.
        reason: one sentence why this one.
        memory_mb: of the card, or of the computer.
    """

    device: str
    name: str
    reason: str
    memory_mb: int

    @property
    def is_cpu(self) -> bool:
        """Whether this is the processor."""
        return self.device == CPU

    def in_full_precision(self, threads: int) -> dict[str, str | int | float | bool]:
        """What a run's settings say of a network that computes here in fp32.

        Args:
            threads: of the processor.
        """
        return {
            "device": self.device,
            "device_name": self.name,
            "precision": "fp32",
            "threads": threads,
        }


def choose_device(preferred: str | None = None) -> DeviceChoice:
    """An NVIDIA card, else Apple's graphics, else the processor.

    Args:
        preferred: ``cuda``, ``cuda:1``, ``mps`` or ``cpu`` to ask for one.

    Returns:
        The choice; what was asked for is not returned where it is not there or does not work, and
        the reason says so.

    Raises:
        BadInput: ``preferred`` names no kind of device.
    """
    if preferred is not None and not _NAME.fullmatch(preferred):
        raise BadInput(f"There is no device “{preferred}”; use cuda, mps or cpu.")
    if preferred == CPU:
        return _processor("The processor was asked for.")
    reasons = []
    for kind, found in (("cuda", _nvidia), ("mps", _apple)):
        if preferred is None or preferred.startswith(kind):
            choice, reason = found(preferred)
            if choice is not None:
                return choice
            reasons.append(reason)
    return _processor(next(r for r in reasons if r))


def fallback(failed: DeviceChoice, error: BaseException) -> DeviceChoice:
    """The processor, because ``failed`` did not work."""
    log.info("%s failed: %s", failed.device, error)
    if isinstance(error, torch.OutOfMemoryError):
        why = f"{failed.name} has not enough free memory"
    else:
        why = f"{failed.name} stopped working"
    return _processor(f"{why}, so this runs on the processor.")


def run_or_fall_back(
    choice: DeviceChoice, work: Callable[[DeviceChoice], T]
) -> tuple[T, DeviceChoice]:
    """Do something on a device, once more when its memory was full, else on the processor.

    Args:
        choice: where to work.
        work: gets the device to use; called again from the start after a failure.

    Returns:
        What ``work`` returned and where it was done.
    """
    try:
        return work(choice), choice
    except RuntimeError as error:
        if choice.is_cpu:
            raise
        first = error
    if isinstance(first, torch.OutOfMemoryError):
        torch.cuda.empty_cache()
        try:
            return work(choice), choice
        except RuntimeError as error:
            first = error
    processor = fallback(choice, first)
    return work(processor), processor


@contextmanager
def threads(count: int) -> Iterator[None]:
    """torch computes with ``count`` threads inside."""
    before = torch.get_num_threads()
    if before != count:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        if before != count:
            torch.set_num_threads(before)


def _nvidia(preferred: str | None) -> tuple[DeviceChoice | None, str]:
    if not torch.cuda.is_available():
        if shutil.which("nvidia-smi") is None:
            return None, "No NVIDIA card was found, so this runs on the processor."
        if torch.version.cuda is None:
            return None, (
                "This installation has PyTorch's build without NVIDIA support, so this runs on "
                "the processor; set up again with TROCAR_TORCH=cuda."
            )
        return None, (
            "The NVIDIA driver does not answer or is too old, so this runs on the processor; "
            "update the driver."
        )
    device = preferred if preferred and ":" in preferred else "cuda:0"
    place = int(device.split(":")[1])
    if place >= torch.cuda.device_count():
        return None, f"There is no NVIDIA card number {place}, so this runs on the processor."
    properties = torch.cuda.get_device_properties(place)
    memory_mb = properties.total_memory // _MEBIBYTE
    return _tried(device, properties.name, memory_mb)


def _apple(_preferred: str | None) -> tuple[DeviceChoice | None, str]:
    if not torch.backends.mps.is_available():
        return None, "" if platform.system() != "Darwin" else (
            "Apple's graphics cannot be used here, so this runs on the processor."
        )
    return _tried("mps", f"{processor_name()} graphics", _memory_mb())


def _tried(device: str, name: str, memory_mb: int) -> tuple[DeviceChoice | None, str]:
    try:
        torch.ones(64, 64, device=device).mm(torch.ones(64, 64, device=device)).sum().item()
    except RuntimeError as error:
        log.info("%s failed its trial: %s", device, error)
        return None, f"{name} did not pass its trial run, so this runs on the processor."
    reason = f"{name} was found and works."
    return DeviceChoice(device=device, name=name, reason=reason, memory_mb=memory_mb), ""


def _processor(reason: str) -> DeviceChoice:
    return DeviceChoice(device=CPU, name=processor_name(), reason=reason, memory_mb=_memory_mb())


def _memory_mb() -> int:
    return int(psutil.virtual_memory().total // _MEBIBYTE)


def processor_name() -> str:
    """The processor's name, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine() or "processor"
