"""Rows about the real window, each in a process of its own, without a display."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from app.inference import AnalysisJob
from app.inference.new_case import case_of
from app.store import Library
from tests.benchmarks import material
from tests.benchmarks.measure import Row

PROJECT = Path(__file__).resolve().parents[2]
_NO_QT = "PySide6 is not installed, so the window cannot be measured"
_TIMEOUT_S = 400


def lateness(rounds: int) -> list[Row]:
    """How late the GUI thread's timer fires while 1080p plays, with and without an analysis."""
    name = "event loop late, p99"
    if find_spec("PySide6") is None:
        return [Row(row=name, ours=None, unit="ms", note=_NO_QT)]
    with tempfile.TemporaryDirectory() as folder:
        clip = material.make_clip(Path(folder) / "clip.mp4", 125)
        runs: dict[str, list[dict[str, Any]]] = {"lateness": [], "busy": []}
        for number in range(max(1, rounds // 2)):
            for what, found in runs.items():
                library = Path(folder) / f"{what}{number}"
                material.instrument_model(library / "models", always_finds=True)
                found.append(_probe(what, library, clip, seconds=4))
    middle = {k: median(r["late_p99_ms"] for r in v) for k, v in runs.items()}
    more = {
        f"{who}_{key}": median(r[key] for r in runs[what])
        for who, what in (("with_inference", "busy"), ("without", "lateness"))
        for key in ("late_p50_ms", "late_p99_ms", "late_max_ms", "frames_shown")
    }
    whole = all(r["analysing"] for r in runs["busy"])
    more["analysing_all_the_time"] = whole
    note = "5 ms timer, 1080p25 playing for 4 s; ours: while instruments are analysed"
    return [
        Row(
            row=name,
            ours=middle["busy"],
            peer=middle["lateness"],
            peer_name="the same window without an analysis",
            unit="ms",
            note=note if whole else f"{note}, which ended before the 4 s did",
            more=more,
        )
    ]


def cold_start(rounds: int) -> list[Row]:
    """From starting the process to the window, and to the first overlay of an analysed case."""
    name = "start to window"
    if find_spec("PySide6") is None:
        return [Row(row=name, ours=None, unit="s", note=_NO_QT)]
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "library"
        clip = _analysed(Path(folder), library)
        empty = Path(folder) / "empty"
        times: dict[str, list[dict[str, Any]]] = {"start": [], "overlay": []}
        work: dict[str, Callable[[], dict[str, Any]]] = {
            "start": lambda: _probe("start", empty, None),
            "overlay": lambda: _probe("overlay", library, clip),
        }
        for number in range(rounds + 1):
            for key, run in work.items():
                found = run()
                if number:
                    times[key].append(found)
    torch_imported = any(t["torch_imported"] for t in times["start"])
    windows = [t["window_s"] for t in times["start"]]
    overlays = [t["overlay_s"] for t in times["overlay"] if t["overlay_s"] is not None]
    return [
        Row(
            row=name,
            ours=min(windows),
            unit="s",
            note="offscreen, disk cache warm; torch imported: "
            + ("yes" if torch_imported else "no"),
            more={"ours_p50": median(windows), "torch_imported": torch_imported},
        ),
        Row(
            row="start to first overlay",
            ours=min(overlays) if overlays else None,
            unit="s",
            note="an analysed 1080p recording named on the command line",
            more={"ours_p50": median(overlays) if overlays else None},
        ),
    ]


def _analysed(folder: Path, library: Path) -> Path:
    clip = material.make_clip(folder / "clip.mp4", 12)
    card = material.instrument_model(library / "models", always_finds=True)
    with Library.open(library, ballast_bytes=0) as opened:
        case = case_of(opened, [clip])
        AnalysisJob(opened, case, [card], device=material.CPU, threads=1).run()
    return clip


def _probe(what: str, library: Path, clip: Path | None, seconds: float = 0) -> dict[str, Any]:
    environment = os.environ | {
        "QT_QPA_PLATFORM": "offscreen",
        "TROCAR_CONFIG": str(library.parent / "config"),
    }
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.benchmarks.window_probe",
            what,
            str(library),
            str(clip) if clip else "-",
            repr(time.time()),
            str(seconds),
        ],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the window could not be measured: {done.stderr[-800:]}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found
