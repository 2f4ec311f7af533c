"""What a run writes down: a log without doubled rows, samples, who trains, how it stands."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from app.cli.main import run as command
from app.cli.runs import sparkline
from app.core.errors import BadInput, EnvironmentProblem
from app.learning import run_log
from app.learning.run_log import RunLog, sample_files
from app.learning.run_view import ask_to_finish, list_runs, read_run, trained_now
from models.training import Progress


def told(step: int, **more: object) -> Progress:
    values = {
        "loss": 10 / step,
        "parts": {"box": 1.0},
        "learning_rate": 1e-3,
        "seconds": 2.0 * step,
    }
    return Progress(step=step, steps=100, **{**values, **more})  # type: ignore[arg-type]


def planned(folder: Path, **more: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    plan = {"name": folder.name, "title": "A lesson", "task": "instance-segmentation"}
    (folder / "plan.json").write_text(json.dumps({**plan, "train": {"steps": 100}, **more}))
    return folder


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_resumed_run_goes_on_in_its_log_without_doubled_rows(tmp_path: Path) -> None:
    first = RunLog(tmp_path, 0)
    for step in (10, 20, 30):
        first.add(told(step))
    first.add(told(40, metrics={"map50": 0.25}))
    first.put_samples(None, [np.zeros((8, 8, 3), np.uint8)])
    for step in (0, 20, 40):
        first.put_samples(step, [np.full((8, 8, 3), step, np.uint8)])
    again = RunLog(tmp_path, 20)
    assert [s.step for s in sample_files(tmp_path)] == [None, 0, 20]
    for step in (30, 40):
        again.add(told(step, metrics={"map50": 0.5} if step == 40 else {}))
    found = rows(tmp_path)
    assert [row["step"] for row in found] == ["10", "20", "30", "40"]
    assert [row["held_out_map50"] for row in found] == ["", "", "", "0.5"]
    assert list(found[0])[:5] == ["step", "seconds", "learning_rate", "loss", "loss_box"]
    assert not list(tmp_path.glob("*.tmp"))


def test_a_new_run_leaves_nothing_of_an_older_log(tmp_path: Path) -> None:
    RunLog(tmp_path, 0).add(told(10))
    RunLog(tmp_path, 0)
    assert not (tmp_path / "log.csv").exists()


def test_samples_are_pictures(tmp_path: Path) -> None:
    log = RunLog(tmp_path, 0)
    red = np.zeros((32, 48, 3), np.uint8)
    red[..., 0] = 200
    log.put_samples(5, [red, red])
    files = sample_files(tmp_path)
    assert [(f.step, f.number) for f in files] == [(5, 0), (5, 1)]
    data = np.frombuffer(files[0].path.read_bytes(), np.uint8)
    assert cv2.imdecode(data, cv2.IMREAD_COLOR)[16, 24].tolist() == pytest.approx(
        [0, 0, 200], abs=6
    )


def test_how_a_run_stands(tmp_path: Path) -> None:
    folder = planned(tmp_path / "mine")
    assert read_run(folder).state == "interrupted"
    run_log.begin(folder, "a card, bfloat16", "map50")
    log = RunLog(folder, 0)
    log.add(told(10, metrics={"map50": 0.5, "miou": 0.3}))
    log.add(told(20, pieces=4))
    log.add(told(25, metrics={"map50": 0.4, "miou": 0.9}, loss=float("nan")))
    now = read_run(folder)
    assert (now.state, now.step, now.steps, now.device) == ("running", 25, 100, "a card, bfloat16")
    assert now.best == (10, 0.5)
    assert now.columns["held_out_miou"] == ((10, 0.3), (25, 0.9))
    assert now.columns["loss"] == ((10, 1.0), (20, 0.5))
    assert now.seconds_left == pytest.approx(150)
    assert trained_now(folder) == os.getpid()
    run_log.end(folder, "diverged")
    assert (read_run(folder).state, trained_now(folder)) == ("diverged", None)
    note = json.loads((folder / "process.json").read_text())
    (folder / "process.json").write_text(json.dumps({**note, "ended": "", "utc_ms": 5}))
    assert read_run(folder).state == "interrupted", "another process has the number now"
    done = {"steps": 90, "seconds": 7.0, "ended": "stopped", "best": {}, "device": ""}
    (folder / "run.json").write_text(json.dumps(done))
    assert (read_run(folder).state, read_run(folder).seconds_left) == ("stopped", None)


def test_a_log_that_is_being_written_is_read_as_far_as_it_is_whole(tmp_path: Path) -> None:
    folder = planned(tmp_path / "mine")
    log = RunLog(folder, 0)
    log.add(told(10))
    with (folder / "log.csv").open("a") as file:
        file.write("20,40.0,0.0")
    assert read_run(folder).step == 10


def test_what_is_no_run_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="not the folder of a training run"):
        read_run(tmp_path)
    (planned(tmp_path / "odd") / "plan.json").write_text("{")
    with pytest.raises(BadInput, match="cannot be read"):
        read_run(tmp_path / "odd")
    planned(tmp_path / "whole")
    assert [run.name for run in list_runs(tmp_path)] == ["whole"]
    with pytest.raises(EnvironmentProblem, match="cannot be asked to stop"):
        ask_to_finish(tmp_path / "nowhere")


def test_the_command_shows_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = RunLog(planned(tmp_path / "runs" / "mine"), 0)
    for step in (10, 20, 30):
        log.add(told(step, metrics={"map50": step / 100}))
    assert command(["runs", "--library", str(tmp_path), "--json"]) == 0
    (said,) = json.loads(capsys.readouterr().out)["runs"]
    assert (said["run"], said["step"], said["best"]) == ("mine", 30, {"step": 30, "value": 0.3})
    assert said["curves"]["loss"] == [[10, 1.0], [20, 0.5], [30, 0.333333]]
    assert command(["runs", str(tmp_path / "runs" / "mine")]) == 0
    text = capsys.readouterr().out
    assert "interrupted, 30 of 100 batches" in text
    assert "held_out_map50" in text
    assert "▁" in text
    run_log.begin(tmp_path / "runs" / "mine")
    run_log.fail(tmp_path / "runs" / "mine", "The card stopped working.")
    assert command(["runs", str(tmp_path / "runs" / "mine")]) == 0
    text = capsys.readouterr().out
    assert "failed, 30 of 100 batches" in text
    assert "The card stopped working." in text
    assert command(["runs", str(tmp_path)]) == 1
    assert "not the folder of a training run" in capsys.readouterr().err
    assert sparkline([1.0, 2.0, 3.0]) == "▁▅█"


def test_tensorboard_files(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="an optional extra")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = RunLog(tmp_path, 0, tensorboard=True)
    log.add(told(10, metrics={"map50": 0.25}))
    log.close()
    seen = EventAccumulator(str(tmp_path / "tensorboard"))
    seen.Reload()
    assert {"loss/all", "loss/box", "held_out/map50"} <= set(seen.Tags()["scalars"])
    assert [(e.step, e.value) for e in seen.Scalars("held_out/map50")] == [(10, 0.25)]


def test_tensorboard_that_is_not_installed_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(EnvironmentProblem, match=r"install trocar\[tensorboard\]"):
        RunLog(tmp_path, 0, tensorboard=True)
