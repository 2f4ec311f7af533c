"""Starts a victim, kills it with -9 and gives what it had acknowledged."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]

Kill = Callable[..., list[str]]


@pytest.fixture
def kill_after() -> Kill:
    """``kill_after(seconds, deed, *arguments)``: the lines between ``ready`` and the kill."""

    def run(seconds: float, *arguments: object) -> list[str]:
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.victim", *map(str, arguments)],
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with child:
            assert child.stdout is not None
            assert child.stderr is not None
            first = child.stdout.readline()
            assert first == "ready\n", child.stderr.read()
            time.sleep(seconds)
            child.kill()
            lines = child.stdout.read()
            assert child.stderr.read() == ""
        whole, _, _torn = lines.rpartition("\n")
        return whole.split("\n") if whole else []

    return run
