"""Real labels of public data sets in the window: what their files say stands in Review."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.ui.main_window import MainWindow

# What a file says, read plainly: phases as (start s, end s, name), and how many stretches each lane
# of labels has.
Said = tuple[list[tuple[float, float, str]], dict[str, int]]


def cholec80(folder: Path) -> Said:
    words = (folder / "video01-phase.txt").read_text(encoding="utf-8").split()
    return runs(dict(enumerate(words))), {}


def cholect50(folder: Path) -> Said:
    data = json.loads((folder / "VID68.json").read_text(encoding="utf-8"))
    names, rows = data["categories"], {int(k): v for k, v in data["annotations"].items()}
    phases = {t: names["phase"][str(r[0][14])] for t, r in rows.items() if r and r[0][14] >= 0}
    lanes = {}
    for number, name in names["instrument"].items():
        seen = {t: name for t, r in rows.items() if int(number) in {row[1] for row in r}}
        lanes[name] = len(runs(seen))
    done = [
        runs({t: name for t, r in rows.items() if int(number) in {row[0] for row in r}})
        for number, name in names["triplet"].items()
    ]
    lanes["Triplets"] = sum(map(len, done))
    return runs(phases), {name: count for name, count in lanes.items() if count}


def multibypass140(folder: Path) -> Said:
    data = json.loads((folder / "BBP01.mp4.json").read_text(encoding="utf-8"))
    over = {"out_of_body": "Out of body", "severe_index": "Severe events"}
    found = sorted((r["start"] / 1000, r["end"] / 1000, r["label_name"]) for r in data["phases"])
    lanes: Counter[str] = Counter(over[name] for _, _, name in found if name in over)
    lanes["Steps"] = len(data["steps"])
    return [row for row in found if row[2] not in over], dict(lanes)


def ophnet(folder: Path) -> Said:
    (table,) = folder.glob("*.csv")
    with table.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    own = [row for row in rows if row["video_id"] == rows[0]["video_id"]]
    phases = [(float(r["start"]), float(r["end"]), f"phase_{r['phase_id']}") for r in own]
    return sorted(phases), {"Operations": len(own)}


def runs(labels: dict[int, str]) -> list[tuple[float, float, str]]:
    """Seconds with a label as stretches of one label without a gap."""
    out = []
    for _, group in groupby(enumerate(sorted(labels)), lambda p: (p[1] - p[0], labels[p[1]])):
        seconds = [second for _, second in group]
        out.append((float(seconds[0]), float(seconds[-1] + 1), labels[seconds[0]]))
    return out


def folded(name: str) -> str:
    """A class without case and separators, as CholecT50 and Trocar both spell it."""
    word = "".join(c for c in name.casefold() if c.isalnum())
    for one, other in (("carlot", "calot"), ("extraction", "retraction"), ("and", "")):
        word = word.replace(one, other)
    return word


def first_rows(folder: Path, out: Path) -> Path:
    """Of a table of 743 operations those of the first ones."""
    out.mkdir()
    table = "OphNet2024_loca_challenge.csv"
    rows = (folder / table).read_text(encoding="utf-8").splitlines(keepends=True)
    (out / table).write_text("".join(rows[:60]), encoding="utf-8")
    return out


@pytest.mark.parametrize(
    ("name", "read", "count"),
    [
        ("cholec80_phase_txt", cholec80, 10),
        ("cholect50/labels", cholect50, 3),
        ("multibypass140", multibypass140, 5),
        ("ophnet", ophnet, 4),
    ],
)
def test_phases_and_lanes_of_a_folder(
    name: str, read: Callable[[Path], Said], count: int, shared_data: Path, window: MainWindow,
    qtbot: QtBot, tmp_path: Path,
) -> None:  # fmt: skip
    folder = shared_data / name
    if not folder.is_dir():
        pytest.skip(f"{name} is not here")
    if name == "ophnet":
        folder = first_rows(folder, tmp_path / "part")
    with qtbot.waitSignal(window.services.cases.opened, timeout=20_000):
        window.open_files([folder])
    assert len(window.services.library.cases()) == count
    phases, lanes = read(folder)
    review, asset = window.review, window.services.session.asset
    assert review.isVisible()
    assert asset is not None
    blocks = review.ribbon.data.blocks
    assert all(block.human for block in blocks)
    shown = [
        (asset.time_ms(s.start_pts) / 1000, asset.time_ms(s.end_pts) / 1000, folded(s.phase))
        for s in (block.segment for block in blocks)
    ]
    assert shown == [
        (pytest.approx(start), pytest.approx(end), folded(key)) for start, end, key in phases
    ]
    for start, _, key in phases:
        hit = review.ribbon.block_at(1000 * start)
        assert hit is not None
        assert folded(hit.segment.phase) == folded(key)
    review.show_lanes(shown=True)
    rows = review.lanes.rows()
    held = {lane.name: lane for row in rows for lane in review.lanes.lanes_of(row)}
    drawn = {n.removesuffix(", labels"): sum(map(len, held[n].lines)) for n in held}
    assert {folded(name): n for name, n in drawn.items()} == {
        folded(name): n for name, n in lanes.items()
    }
