"""How many processor cores there are for this process. No torch."""

from __future__ import annotations

import os

import psutil


def cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return psutil.cpu_count(logical=False) or 1
