"""Rows measured side by side: interleaved, CPU time beside wall time, the machine beside both.

Wall time of several threads on a shared machine says little; process CPU-milliseconds with one
thread stay stable (measured), so they are what ratios are made of wherever a row has them.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

ROUNDS = 5
_FLAGS = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "asimd")
_PACKAGES = (
    "torch",
    "openvino",
    "onnxruntime",
    "numpy",
    "opencv-python-headless",
    "av",
    "PySide6-Essentials",
    "ultralytics",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """One candidate's times in milliseconds."""

    min_ms: float
    p50_ms: float
    cpu_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the suite.

    Attributes:
        row: what is measured.
        ours, peer: in ``unit``; None where there is none, and ``note`` says why.
        peer_name: what the peer is.
        unit: ``CPU-ms``, ``ms``, ``frames/s``.
        note: what work it is; why there is no peer.
        more: further figures.
    """

    row: str
    ours: float | None
    unit: str
    note: str
    peer: float | None = None
    peer_name: str = ""
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """How many times cheaper or faster ours is."""
        if not self.ours or not self.peer:
            return None
        return self.ours / self.peer if self.unit == "frames/s" else self.peer / self.ours

    def as_json(self) -> dict[str, Any]:
        """As ``trocar bench --json`` prints it."""
        return {
            "row": self.row,
            "ours": self.ours,
            "peer": self.peer,
            "peer_name": self.peer_name,
            "unit": self.unit,
            "ratio": self.ratio,
            "note": self.note,
            **self.more,
        }


def interleaved(
    candidates: Mapping[str, Callable[[], object]], rounds: int = ROUNDS
) -> dict[str, Times]:
    """Run each candidate once per round, after one round that does not count."""
    wall: dict[str, list[float]] = {name: [] for name in candidates}
    cpu: dict[str, list[float]] = {name: [] for name in candidates}
    for number in range(rounds + 1):
        for name, work in candidates.items():
            start, start_cpu = time.perf_counter(), time.process_time()
            work()
            if number:
                cpu[name].append(1000 * (time.process_time() - start_cpu))
                wall[name].append(1000 * (time.perf_counter() - start))
    return {
        name: Times(min_ms=min(wall[name]), p50_ms=median(wall[name]), cpu_ms=min(cpu[name]))
        for name in candidates
    }


def row_of(
    name: str,
    times: Mapping[str, Times],
    note: str,
    *,
    ours: str = "ours",
    peer: str | None = None,
    peer_name: str = "",
) -> Row:
    """A row of CPU-milliseconds out of interleaved times; wall times beside."""
    more = {
        f"{who}_{what}": getattr(times[key], what)
        for who, key in (("ours", ours), ("peer", peer))
        if key is not None and key in times
        for what in ("min_ms", "p50_ms")
    }
    return Row(
        row=name,
        ours=times[ours].cpu_ms,
        peer=times[peer].cpu_ms if peer in times else None,
        peer_name=peer_name,
        unit="CPU-ms",
        note=note,
        more=more,
    )


def machine() -> dict[str, Any]:
    """Processor, instruction sets, load and versions."""
    info = Path("/proc/cpuinfo")
    text = info.read_text(encoding="utf-8", errors="replace") if info.is_file() else ""
    words = set(text.split())
    return {
        "processor": next(
            (x.partition(":")[2].strip() for x in text.splitlines() if x.startswith("model name")),
            platform.processor(),
        ),
        "cores": os.cpu_count(),
        "isa": [flag for flag in _FLAGS if flag in words],
        "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else [],
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in _PACKAGES},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
