"""A real clip that an EndoNet looked at, from the command to lanes, find, figures and a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.cli.main import run
from app.core.taxonomy import find_taxonomy
from app.core.tools import seconds_seen
from app.exchange.labels.library import import_onto
from app.store import Library
from app.ui.load_case import load_case
from app.ui.timeline.lanes import LaneKind, named_lanes
from app.video import open_video
from tests.helpers.endonet import TOOLS, save_endonet

SECONDS = 32


COLUMNS = ("Hook", "Clipper", "Grasper", "Bipolar")


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """Labels of the clip in Cholec80's layout, made up, and the tools of `TOOLS` in them (T, M)."""
    folder = tmp_path_factory.mktemp("labels")
    present = np.random.default_rng(3).random((SECONDS, len(COLUMNS))) < 0.4
    present[:, 1] = False  # there is no clipper
    rows = [
        f"{25 * s}\t" + "\t".join("1" if on else "0" for on in present[s]) for s in range(SECONDS)
    ]
    names = "\t".join(COLUMNS)
    (folder / "video25-tool.txt").write_text(f"Frame\t{names}\n" + "\n".join(rows) + "\n")
    phases = [f"{frame}\tPreparation" for frame in range(25 * SECONDS)]
    (folder / "video25-phase.txt").write_text("Frame\tPhase\n" + "\n".join(phases) + "\n")
    spelt = [name.lower() for name in COLUMNS]
    return folder, present[:, [spelt.index(key) for key in TOOLS]]


@pytest.fixture(scope="module")
def seen(
    tmp_path_factory: pytest.TempPathFactory, real_clip: Path, truth: tuple[Path, np.ndarray]
) -> tuple[Path, np.ndarray]:
    """A library in which an EndoNet looked at a real clip that has labels; what it told (T, M)."""
    folder = tmp_path_factory.mktemp("seen") / "library"
    with open_video(real_clip) as source:
        pictures = [source.frame_at(float(s)).rgb for s in range(0, SECONDS, 4)]
    card = save_endonet(folder / "models", pictures)
    named = ["--model", card.name, "--procedure", "cholecystectomy", "--library", str(folder)]
    assert run(["analyze", str(real_clip), *named, "--threads", "1", "--json"]) == 0
    with Library.open(folder, ballast_bytes=1 << 16) as library:
        import_onto(library, "0001", [truth[0]])
        store = library.predictions("0001")
        told = store.tools(store.runs()[0].run_id)
    assert told.probabilities.shape == (SECONDS, len(TOOLS))
    return folder, told.probabilities


@pytest.fixture
def ask(seen: tuple[Path, np.ndarray], capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Runs a command on that library; a last word ``--json`` gives its values."""
    capsys.readouterr()

    def asked(*arguments: str) -> Any:
        assert run([*arguments, "--library", str(seen[0])]) == 0
        out = capsys.readouterr().out
        return json.loads(out) if "--json" in arguments else out

    return asked


def slow_ap(truth: np.ndarray, scores: np.ndarray) -> float:
    """Of each threshold that a score gives: precision times what it adds to the recall."""
    found, recall = 0.0, 0.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        said = [on for on, score in zip(truth, scores, strict=True) if score >= threshold]
        now = sum(said) / truth.sum()
        found, recall = found + (now - recall) * sum(said) / len(said), now
    return 100 * found


def test_what_was_told_is_scored_beside_imported_labels(
    seen: tuple[Path, np.ndarray], truth: tuple[Path, np.ndarray], ask: Callable[..., Any]
) -> None:
    found = ask("metrics", "tools", "--json")
    known = {}
    for column, key in enumerate(TOOLS):
        if key == "clipper":
            assert found["pooled"][key] is None, "a tool that is absent from the truth is absent"
            continue
        known[key] = slow_ap(truth[1][:, column], seen[1][:, column])
        assert found["pooled"][key] == pytest.approx(known[key])
    assert set(found["pooled"]) == set(TOOLS), "the labels' bipolar was not told of"
    assert found["mean_ap"] == pytest.approx(sum(known.values()) / 2)
    assert found["names"] == ["0001"]
    words = ask("metrics", "tools", "--case", "0001", "--model", "endonet")
    assert "32 seconds or frames" in words
    assert "clipper                     absent" in words


def test_a_file_of_scores_has_the_same_figures_and_is_no_label(
    truth: tuple[Path, np.ndarray], ask: Callable[..., Any], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    said = ask("export", "0001", "--format", "tools", "--out", str(tmp_path), "--json")
    file = Path(said["path"])
    assert (file.name, said["seconds"]) == ("video25-tool.txt", SECONDS)
    lines = file.read_text().splitlines()
    assert lines[0].split("\t") == ["Frame", "Grasper", "Hook", "Clipper"]
    assert [line.split("\t")[0] for line in lines[1:]] == [str(25 * s) for s in range(SECONDS)]
    part = tmp_path / "truth" / "video25-tool.txt"  # what the network was never taught is left out
    rows = [r.split("\t")[:4] for r in (truth[0] / part.name).read_text().splitlines()]
    part.parent.mkdir()
    part.write_text("\n".join("\t".join(r) for r in rows))
    assert run(["metrics", "tools", str(part), str(file), "--json"]) == 0
    filed, stored = json.loads(capsys.readouterr().out), ask("metrics", "tools", "--json")
    assert filed["mean_ap"] == pytest.approx(stored["mean_ap"])
    assert run(["import", str(file), "--library", str(tmp_path / "other")]) == 1
    assert "expected 0 or 1 for every tool" in capsys.readouterr().err


def test_the_case_and_its_report_say_who_told(
    seen: tuple[Path, np.ndarray], ask: Callable[..., Any], tmp_path: Path
) -> None:
    with Library.open(seen[0], "read") as library:
        store, asset = library.predictions("0001"), library.case("0001").assets[0]
        told = store.tools(store.runs()[0].run_id)
        sums = seconds_seen(told, asset.start_pts, asset.time_base).sum(axis=0).tolist()
    expected = dict(zip(TOOLS, map(float, sums), strict=True))
    assert 0 < sum(expected.values()) < 3 * SECONDS
    (analysis,) = ask("show", "0001", "--json")["runs"]
    assert analysis["tools_s"] == expected
    key = max(expected, key=lambda k: expected[k])
    assert f"tells      {key.title()} {expected[key]:.0f} s" in ask("show", "0001")
    ask("report", "0001", "--out", str(tmp_path / "report.html"))
    html = (tmp_path / "report.html").read_text()
    assert "In view, as told by a model" in html
    assert "endonet says which of its 3 instruments" in html
    assert "as outlined" not in html


def test_review_shows_what_was_told_beside_the_labels(
    seen: tuple[Path, np.ndarray], truth: tuple[Path, np.ndarray]
) -> None:
    with Library.open(seen[0], "read") as library:
        loaded = load_case(library, "0001", {})
        store, asset = library.predictions("0001"), loaded.case.assets[0]
        told = store.tools(store.runs()[0].run_id)
    assert loaded.model is not None
    lanes = named_lanes(
        (*loaded.model.lanes, *loaded.label_lanes), find_taxonomy("cholecystectomy")
    )
    tools = {lane.name: lane for lane in lanes if lane.kind is LaneKind.TOOL}
    shown = seconds_seen(told, asset.start_pts, asset.time_base)
    for column, key in enumerate(TOOLS):
        lane = tools.get(f"{key.title()}, told")
        assert (lane is not None) == shown[:, column].any()
        for second in range(SECONDS) if lane is not None else ():
            there = lane.at(asset.pts(1000.0 * second + 500)) is not None
            assert there == shown[second, column]
    labelled = tools["Hook, labels"]
    column = TOOLS.index("hook")
    for second in range(SECONDS):
        there = labelled.at(asset.pts(1000.0 * second + 500)) is not None
        assert there == truth[1][second, column]
    assert "Clipper, labels" not in tools
    assert labelled.by == "imported labels of Cholec80"


def test_an_instrument_is_found_where_it_was_told(
    seen: tuple[Path, np.ndarray], ask: Callable[..., Any]
) -> None:
    with Library.open(seen[0], "read") as library:
        store, asset = library.predictions("0001"), library.case("0001").assets[0]
        told = store.tools(store.runs()[0].run_id)
        shown = seconds_seen(told, asset.start_pts, asset.time_base)
    for column, key in enumerate(TOOLS):
        if not shown[:, column].any():
            continue
        found = ask("find", "0001", "--at", "2", "--instrument", key.title(), "--json")
        places = [int(m["seconds"] + 0.1) for m in found["moments"]]
        assert all(shown[place, column] for place in places)
