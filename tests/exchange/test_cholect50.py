"""CholecT50 labels: boxes once, phases by name, bad files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.core.errors import BadInput
from app.exchange import cholect50


def row(triplet: int, instrument: int, box: list[float], phase: int) -> list[float]:
    return [triplet, instrument, 1, *box, 2, 0, 1, -1, -1, -1, -1, phase]


def test_boxes_and_phase(tmp_path: Path) -> None:
    box = [0.1, 0.2, 0.3, 0.4]
    rows = [row(1, 2, box, 3), row(5, 2, box, 3), row(94, 0, [-1, -1, -1, -1], 3)]
    file = tmp_path / "VID01.json"
    file.write_text(json.dumps({"annotations": {"10": [], "2": rows}}))
    frames = cholect50.read_labels(file)
    assert [f.second for f in frames] == [2, 10]
    assert frames[0].boxes == (("hook", (0.1, 0.2, 0.3, 0.4)),)
    assert frames[0].phase == "gallbladder_dissection"
    assert frames[1].phase is None


def test_phase_numbers_are_those_of_the_data_set(tmp_path: Path) -> None:
    file = tmp_path / "VID01.json"
    nothing = [-1, -1, -1, -1]
    file.write_text(
        json.dumps({"annotations": {str(n): [row(-1, -1, nothing, n)] for n in range(7)}})
    )
    assert [f.phase for f in cholect50.read_labels(file)] == [
        "preparation",
        "calot_triangle_dissection",
        "clipping_cutting",
        "gallbladder_dissection",
        "gallbladder_packaging",
        "cleaning_coagulation",
        "gallbladder_retraction",
    ]


@pytest.mark.parametrize("content", ["{}", "[]", '{"annotations": {"a": []}}',
                                     '{"annotations": {"1": [[1, 2]]}}'])  # fmt: skip
def test_not_a_label_file(tmp_path: Path, content: str) -> None:
    file = tmp_path / "VID01.json"
    file.write_text(content)
    with pytest.raises(BadInput, match=r"VID01\.json"):
        cholect50.read_labels(file)


def test_the_real_cases(shared_data: Path) -> None:
    boxes = [
        sum(len(f.boxes) for f in cholect50.read_labels(p))
        for p in sorted((shared_data / "cholect50" / "labels").glob("*.json"))
    ]
    assert boxes == [296, 196, 522]
