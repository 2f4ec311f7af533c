"""Folders of labels: one file that is called like the others and is bad, and none comes in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.cli.main import run
from app.core.errors import BadInput
from app.exchange.labels.library import import_cases
from app.exchange.labels.reading import has_labels, labels_in
from tests.exchange.labels.test_layouts import SAMPLES
from tests.store.conftest import open_small

GOOD = {"cholec80": "video04-phase.txt", "pitvis": "annotations_06.csv", "cholect50": "VID07.json",
        "multibypass140": "BBP07.mp4.json", "ophnet": "OphNet2024_loca_all.csv",
        "jigsaws": "Suturing_B001.txt"}  # fmt: skip
BAD = [
    ("cholec80", "video42-phase.txt", b"Preparation\nCleaning\xe9\n", "line 2: it is not UTF-8"),
    ("cholec80", "video42-phase.txt", "Frame\tPhase\n".encode("utf-16"), "line 1: it is not UTF-8"),
    ("cholec80", "video42-phase.txt", "Preparation\n".encode("utf-16-le"), "line 1: it is not"),
    ("pitvis", "annotations_07.csv", b"video,time,step\n1,0,1\n", "line 1: it is called like"),
    ("cholect50", "VID08.json", b'{"images": []}', "called like a label file of CholecT50"),
    ("multibypass140", "BBP08.mp4.json", b'{"phases": [], "steps": []}', "MultiBypass140"),
    ("ophnet", "OphNet2024_surgery.csv", b"id;surgery\n1;2\n", "line 1"),
    ("jigsaws", "Suturing_C001.txt", b"80 G1\n", "line 1: expected two frames"),
    ("jigsaws", "Suturing_C001.txt", b"", "empty"),
]


def folder_of(tmp_path: Path, files: dict[str, bytes]) -> Path:
    folder = tmp_path / "set"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize(("layout", "name", "content", "words"), BAD)
def test_a_bad_file_among_good_ones_is_named(
    layout: str, name: str, content: bytes, words: str, tmp_path: Path, own_library: Path
) -> None:
    good = GOOD[layout]
    folder = folder_of(tmp_path, {good: SAMPLES[good].encode(), name: content})
    with open_small(own_library) as library:
        with pytest.raises(BadInput) as told:
            import_cases(library, [folder])
        assert told.value.user_message.startswith(name)
        assert words in told.value.user_message
        assert told.value.user_message.endswith("Nothing was imported.")
        assert library.cases() == ()


def test_a_lone_file_that_is_called_so_is_named(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {"annotations_07.csv": b"video;time\n"})
    assert has_labels([folder])
    with pytest.raises(BadInput, match=r"annotations_07\.csv, line 1"):
        labels_in([folder])


def test_other_files_are_left_aside_and_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Among them one that is called like PitVis's, in a folder of another layout."""
    folder = folder_of(tmp_path, {
        "video04-phase.txt": SAMPLES["video04-phase.txt"].encode(),
        "mapping.txt": b"0 Preparation\n",
        "annotations_07.csv": b"x,y\n1,2\n",
        "README.txt": b"caf\xe9",
        "picture.jpg": b"\xff\xd8",
    })  # fmt: skip
    assert run(["import", str(folder), "--json"]) == 0
    done = json.loads(capsys.readouterr().out)
    assert done["cases"] == ["0001"]
    assert done["notes"] == [
        "2 files are no label files and were left aside: README.txt, annotations_07.csv."
    ]


def test_recorded_movements_are_no_labels(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {"Suturing_B001.txt": SAMPLES["Suturing_B001.txt"].encode()})
    (folder / "kinematics").mkdir()
    numbers = " ".join(["0.5"] * 76) + "\n"
    (folder / "kinematics" / "Suturing_B001.txt").write_text(numbers * 3, encoding="utf-8")
    found = labels_in([folder])
    assert [case.name for case in found.cases] == ["Suturing_B001"]
    assert found.notes == ("1 file is no label file and was left aside: Suturing_B001.txt.",)
