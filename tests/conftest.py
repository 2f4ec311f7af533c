"""Fixtures of every test. A warning, a Qt warning, an unexpected log record, a leaked thread or
timer fails the test that caused it."""

from __future__ import annotations

import gc
import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", "67108864")

# Correctness must not depend on how busy the machine is.
settings.register_profile("trocar", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("trocar")

PROJECT = Path(__file__).resolve().parents[1]
SHARED_DATA = PROJECT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real endoscopic material, where the developers' machine has it."""
    if not SHARED_DATA.is_dir():
        pytest.skip(
            f"real material is not here: {SHARED_DATA.relative_to(PROJECT.parent)} is absent"
        )
    return SHARED_DATA


@pytest.fixture(scope="session")
def real_clip(shared_data: Path) -> Path:
    """One real laparoscopy clip: 800 frames, 854 x 480, 25 fps, H.264 with B-frames."""
    return shared_data / "cholec_clips" / "VID25_f324_triplet59.mp4"


@pytest.fixture(autouse=True)
def own_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has a library, settings and a cache of its own."""
    folder = tmp_path / "library"
    monkeypatch.setenv("TROCAR_LIBRARY", str(folder))
    monkeypatch.setenv("TROCAR_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("TROCAR_CACHE", str(tmp_path / "cache"))
    return folder


@pytest.fixture(autouse=True)
def no_unexpected_log_records(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """A record at WARNING or above fails, unless the test cleared it with ``caplog.clear()``."""
    yield
    records = [
        r
        for when in ("setup", "call")
        for r in caplog.get_records(when)
        if r.levelno >= logging.WARNING
    ]
    if records:
        pytest.fail("unexpected log records: " + "; ".join(r.getMessage() for r in records))


def _own_threads() -> set[threading.Thread]:
    return {t for t in threading.enumerate() if t.name.startswith("trocar")}


@pytest.fixture(autouse=True)
def no_leaked_threads() -> Iterator[None]:
    """Threads named ``trocar…`` must have ended within two seconds of the test."""
    before = _own_threads()
    yield
    deadline = time.monotonic() + 2
    while (left := _own_threads() - before) and time.monotonic() < deadline:
        time.sleep(0.01)
    if left:
        pytest.fail("leaked threads: " + ", ".join(sorted(t.name for t in left)))


@pytest.fixture(autouse=True)
def no_leaked_qt(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that uses Qt must leave no running QThread and no active QTimer behind."""
    yield
    if "qtbot" not in request.fixturenames:
        return
    from PySide6.QtCore import QThread, QTimer
    from PySide6.QtWidgets import QApplication

    QApplication.processEvents()
    # By type: asking torch's lazy objects for their class warns.
    left = [
        o
        for o in gc.get_objects()
        if (issubclass(type(o), QThread) and _alive(o) and o.isRunning())
        or (issubclass(type(o), QTimer) and _alive(o) and o.isActive())
    ]
    if left:
        pytest.fail(f"leaked Qt objects: {[(type(o).__name__, o.objectName()) for o in left]}")


def _alive(obj: object) -> bool:
    from shiboken6 import Shiboken

    return Shiboken.isValid(obj)
