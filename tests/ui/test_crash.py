"""Crash reports and the log: there when something breaks, and free of names and paths."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.ui.crash import CrashReports, log_folder, without_paths

PATIENT = "Maria_Mustermann_1961.mp4"


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CrashReports]:
    # pytest's own hooks would fail the test for the very exceptions that it raises.
    monkeypatch.setattr(sys, "excepthook", lambda *_: None)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    made = CrashReports(tmp_path / "logs")
    made.install()
    yield made
    made.remove()


def broken(path: str) -> None:
    raise RuntimeError(f"cannot decode {path}")


def test_a_report_names_the_place_and_not_the_patient(reports: CrashReports) -> None:
    told: list[Path] = []
    reports.told = told.append
    try:
        broken(f"/home/someone/{PATIENT}")
    except RuntimeError:
        kind, error, trace = sys.exc_info()
        assert kind is not None
        assert error is not None
        sys.excepthook(kind, error, trace)
    text = told[0].read_text(encoding="utf-8")
    assert "RuntimeError" in text
    assert "broken" in text
    assert "Mustermann" not in text
    assert "/" not in text.replace("://", "")


def test_a_thread_that_breaks_is_reported(reports: CrashReports) -> None:
    thread = threading.Thread(target=broken, args=(PATIENT,), name="trocar-test")
    thread.start()
    thread.join()
    found = list(reports.folder.glob("crash-*.txt"))
    assert len(found) == 1
    assert "trocar-test" in found[0].read_text(encoding="utf-8")


def test_the_log_holds_no_paths(reports: CrashReports) -> None:
    log = logging.getLogger("app.ui.test")
    log.info("opened %s", f"/mnt/usb/{PATIENT}")
    try:
        broken(f"C:\\cases\\{PATIENT}")
    except RuntimeError as error:
        log.info("went wrong", exc_info=error)
    text = (reports.folder / "trocar.log").read_text(encoding="utf-8")
    assert "opened <path>" in text
    assert "RuntimeError" in text
    assert "Mustermann" not in text


def test_paths_of_every_kind_are_taken_out() -> None:
    for path in ("/a/b.mp4", "C:\\x\\y.mp4", "\\\\server\\share\\z", "~/v.mkv"):
        assert "<path>" in without_paths(f"cannot read {path}: no permission")
    assert without_paths("3 of 4 frames") == "3 of 4 frames"


def test_only_the_newest_reports_are_kept(reports: CrashReports) -> None:
    for _ in range(25):
        reports.write(RuntimeError, None, "x")
    assert len(list(reports.folder.glob("crash-*.txt"))) == 20


def test_a_folder_that_cannot_be_written_breaks_nothing(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("", encoding="utf-8")
    made = CrashReports(blocked / "logs")
    before = sys.excepthook
    made.install()
    assert made.write(RuntimeError, None, "x") is None
    made.remove()
    assert sys.excepthook is before


def test_logs_follow_the_configured_folder(tmp_path: Path) -> None:
    assert log_folder().parent == tmp_path / "config"
