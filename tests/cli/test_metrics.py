"""`trocar import`, `export --format labels` and `metrics` as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.cli.main import run

TRUTH = ["preparation"] * 20 + ["calottriangledissection"] * 30
TOOLS = "Grasper\tBipolar\tHook\tScissors\tClipper\tIrrigator\tSpecimenBag"
SAID = ["preparation"] * 25 + ["calottriangledissection"] * 25


def lines(path: Path, words: list[str]) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{word}\n" for word in words), encoding="utf-8")
    return path


@pytest.fixture
def sides(tmp_path: Path) -> tuple[str, str]:
    """Truth at one label a second, and a prediction at 25 with a header."""
    truth = lines(tmp_path / "truth" / "video01-phase.txt", TRUTH)
    rows = [f"{n}\t{SAID[n // 25]}" for n in range(25 * len(SAID))]
    said = lines(tmp_path / "said" / "video01-phase.txt", ["Frame\tPhase", *rows])
    return str(truth), str(said)


def printed(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    out: dict[str, object] = json.loads(capsys.readouterr().out)
    return out


def test_phases_by_time_and_name(
    sides: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["metrics", "phases", *sides, "--json"]) == 0
    found = printed(capsys)
    assert found["pooled"]["accuracy"] == 90.0  # type: ignore[index]
    # Late by 5 s, within the 10 s that are forgiven.
    assert found["relaxed_10s"]["intended"]["accuracy"] == 100.0  # type: ignore[index]
    assert found["edit"] == 100.0
    assert run(["metrics", "phases", *sides]) == 0
    text = capsys.readouterr().out
    assert "1 operations, 1 labels per second" in text
    assert "10 s relaxed, matlab" in text


def test_one_label_fewer_is_said_and_more_are_refused(
    sides: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = str(lines(tmp_path / "short" / "video01-phase.txt", SAID[:-1]))
    assert run(["metrics", "phases", sides[0], short, "--json"]) == 0
    assert printed(capsys)["notes"] == [
        "video01: the last label has no counterpart and was left out."
    ]
    shorter = str(lines(tmp_path / "shorter" / "video01-phase.txt", SAID[:-2]))
    assert run(["metrics", "phases", sides[0], shorter]) == 1
    said = capsys.readouterr().err
    assert "prediction video01-phase.txt has 48 labels at 1 per second and the truth 50" in said


def test_another_name_is_scored_and_said(
    sides: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = str(lines(tmp_path / "other" / "video02-phase.txt", SAID))
    note = "video01 was scored against video02, the only prediction; is it of the same operation?"
    assert run(["metrics", "phases", sides[0], other, "--json"]) == 0
    assert printed(capsys)["notes"] == [note]
    assert run(["metrics", "phases", sides[0], other]) == 0
    assert note in capsys.readouterr().out
    head, rows = f"Frame\t{TOOLS}", ["0\t1\t0\t1\t0\t0\t0\t0", "25\t0\t0\t1\t0\t0\t0\t0"]
    truth, said = (
        str(lines(tmp_path / "t" / f"video0{n}-tool.txt", [head, *rows])) for n in (1, 2)
    )
    assert run(["metrics", "tools", truth, said, "--json"]) == 0
    assert printed(capsys)["notes"] == [note]
    more = str(lines(tmp_path / "more" / "video01-tool.txt", [head, *rows]))
    assert run(["metrics", "tools", more, str(tmp_path / "t")]) == 1
    assert "There is no truth for video02" in capsys.readouterr().err
    rows = ["int_time,int_instrument1,int_instrument2", "0,3,-2", "1,0,-2"]
    truth, said = (str(lines(tmp_path / "i" / f"annotations_0{n}.csv", rows)) for n in (1, 2))
    assert run(["metrics", "tools", truth, said, "--json"]) == 0
    assert printed(capsys)["notes"] == [note.replace("video", "")]


@pytest.mark.parametrize(
    ("name", "rows", "words"),
    [
        ("label_01.txt", ["1\t1", "2\t2"], "label_01.txt is of a hysterectomy (AutoLaparo)"),
        ("Hei-Chole1_Annotation_Phase.csv", [f"{n},6" for n in range(25 * 50)],
         "No phase of the prediction Hei-Chole1_Annotation_Phase.csv occurs in its truth; they"),
    ],
)  # fmt: skip
def test_another_operation_or_no_class_in_common_is_refused(
    name: str, rows: list[str], words: str, sides: tuple[str, str], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    other = str(lines(tmp_path / "other" / name, rows))
    assert run(["metrics", "phases", sides[0], other]) == 1
    assert words in capsys.readouterr().err


def test_a_prediction_that_met_no_phase_is_zero_and_said(
    sides: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = str(lines(tmp_path / "none" / "video01-phase.txt", ["clippingcutting"] * 50))
    assert run(["metrics", "phases", sides[0], said, "--json"]) == 0
    found = printed(capsys)
    assert found["pooled"]["accuracy"] == 0.0  # type: ignore[index]
    assert "no phase of the prediction" in found["notes"][0]  # type: ignore[index]


def test_a_file_that_is_missing_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["metrics", "phases", str(tmp_path / "nope.txt"), str(tmp_path)]) == 1
    assert capsys.readouterr().err == "Truth: nope.txt is not there.\n"


def test_a_bad_line_of_a_prediction_is_named(
    sides: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = str(lines(tmp_path / "bad" / "video01-phase.txt", ["preparation", "lunch"]))
    assert run(["metrics", "phases", sides[0], bad]) == 1
    said = capsys.readouterr().err
    assert "Prediction: video01-phase.txt, line 2: “lunch” is no phase of Cholec80" in said
    assert "imported" not in said


def test_tools_with_scores(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # The prediction's columns stand in another order.
    other = "Hook\tGrasper\tBipolar\tScissors\tClipper\tIrrigator\tSpecimenBag"
    truth = lines(tmp_path / "t" / "video01-tool.txt", [
        f"Frame\t{TOOLS}", "0\t1\t0\t1\t0\t0\t0\t0", "25\t0\t0\t1\t0\t0\t0\t0",
        "50\t1\t0\t0\t0\t0\t0\t0",
    ])  # fmt: skip
    said = lines(tmp_path / "p" / "video01-tool.txt", [
        f"Frame\t{other}", "0\t0.9\t0.9\t0\t0\t0\t0\t0", "25\t0.8\t0.8\t0\t0\t0\t0\t0",
        "50\t0.1\t0.7\t0\t0\t0\t0\t0",
    ])  # fmt: skip
    assert run(["metrics", "tools", str(truth), str(said), "--json"]) == 0
    found = printed(capsys)
    pooled = found["pooled"]
    assert pooled["Hook"] == 100.0  # type: ignore[index]
    assert pooled["Grasper"] == pytest.approx(100 * (1 + 2 / 3) / 2)  # type: ignore[index]
    assert pooled["Clipper"] is None  # type: ignore[index]
    assert found["mean_ap"] == pytest.approx((100 + 100 * 5 / 6) / 2)


def test_a_tool_that_the_first_video_does_not_have_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """HeiChole's files; the prediction of the second video never saw the scissors."""

    def frames(side: str, video: int, seen: list[int]) -> None:
        rows = [",".join(map(str, (n, *(int(k in seen) for k in range(21))))) for n in range(50)]
        lines(tmp_path / side / f"Hei-Chole{video}_Annotation_Instrument.csv", rows)

    frames("t", 1, [0])
    frames("t", 2, [0, 3])
    frames("p", 1, [0, 3])
    frames("p", 2, [])
    assert run(["metrics", "tools", str(tmp_path / "t"), str(tmp_path / "p"), "--json"]) == 0
    pooled = printed(capsys)["pooled"]
    # All four seconds have a grasper; two of them were told.
    assert pooled["Grasper"] == 100.0  # type: ignore[index]
    # Two of four seconds have scissors, and those that were told are the other two.
    assert pooled["Scissors"] == pytest.approx(50.0)  # type: ignore[index]
    bypass = {"phases": [{"start": 0, "end": 9, "label_name": "preparation", "label_id": 0}]}
    (tmp_path / "BBP01.mp4.json").write_text(json.dumps(bypass), encoding="utf-8")
    assert run(["metrics", "tools", *[str(tmp_path / "BBP01.mp4.json")] * 2]) == 1
    assert "names no tools" in capsys.readouterr().err


def test_triplets_by_vectors_and_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def row(triplet: int, score: float = 1.0) -> list[float]:
        return [triplet, 0, score, *[-1] * 11, 0]

    def file(name: str, order: list[str], annotations: dict[str, object]) -> str:
        categories = {
            "triplet": {str(i): n for i, n in enumerate(order)},
            "instrument": {"0": "grasper"}, "verb": {}, "target": {},
            "phase": {"0": "preparation"},
        }  # fmt: skip
        path = tmp_path / name / "VID05.json"
        path.parent.mkdir()
        path.write_text(json.dumps(
            {"video": 5, "fps": 1, "num_frames": 2, "categories": categories,
             "annotations": annotations}))  # fmt: skip
        return str(path)

    names = ["hook,dissect,liver", "grasper,retract,liver"]
    truth = file("t", names, {"0": [row(0)], "1": [row(1)]})
    said = file("p", names[::-1], {"0": [row(1, 0.9)], "1": [row(0, 0.8)]})
    assert run(["metrics", "triplets", truth, said, "--json"]) == 0
    assert printed(capsys)["pooled"]["ivt"] == 100.0  # type: ignore[index]
    vectors = tmp_path / "v.json"
    vectors.write_text('{"0": [0.1, 0.9], "1": [0.2, 0.3]}', encoding="utf-8")
    assert run(["metrics", "triplets", truth, str(vectors), "--json"]) == 0
    found = printed(capsys)
    assert found["pooled"]["ivt"] == 50.0  # type: ignore[index]
    assert found["notes"][0].startswith("VID05 was scored against v")  # type: ignore[index]
    assert "order of the truth's own numbers" in found["notes"][1]  # type: ignore[index]
    vectors.write_text('{"0": [0.1, 0.9]}', encoding="utf-8")
    assert run(["metrics", "triplets", truth, str(vectors)]) == 1
    assert "v.json, frame 1: expected 2 scores" in capsys.readouterr().err
    for place in (tmp_path / "nothing", tmp_path / "a.txt"):
        place.mkdir()
        for given in ([str(place)] * 2, [truth, str(place)]):
            assert run(["metrics", "triplets", *given]) == 1
            said = capsys.readouterr().err
            assert said.count("\n") == 1
            assert f"There is no .json file of triplets in {place.name}" in said


@pytest.mark.parametrize(
    ("kind", "columns", "row", "sentence"),
    [
        ("phases", "int_step", "-1", "annotations_06.csv has no phase at any moment"),
        ("tools", "int_step", "7", "The truth shows no instrument"),
        ("tools", "int_instrument1,int_instrument2", "-1,-2", "The truth shows no instrument"),
        ("phases", "int_step", "11", ""),
    ],
)
def test_pitvis_files_without_what_is_scored(
    kind: str,
    columns: str,
    row: str,
    sentence: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [f"int_time,{columns}", *(f"{n},{row}" for n in range(5))]
    file = str(lines(tmp_path / "annotations_06.csv", rows))
    status = run(["metrics", kind, file, file, "--json"])
    said = capsys.readouterr()
    if sentence:
        assert (status, said.err.count("\n")) == (1, 1)
        assert sentence in said.err
    else:  # a step that the challenge does not score
        assert (status, said.err) == (0, "")
        assert json.loads(said.out)["pitvis"]["mean"] is None
        assert run(["metrics", kind, file, file]) == 0
        assert "PitVis, steps: absent" in capsys.readouterr().out


def test_anticipation(
    sides: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"{n},0,{max(0, 20 - n) / 60 + 0.1}" for n in range(50)]
    table = lines(tmp_path / "a.csv", ["second,Preparation,CalotTriangleDissection", *rows])
    assert run(["metrics", "anticipation", sides[0], str(table), "--json", "--horizon", "2"]) == 0
    (found,) = printed(capsys)["horizons"]  # type: ignore[misc]
    assert found["inside"] == pytest.approx(0.1)
    # Preparation does not come again after it, and 0 was said: 2 minutes off.
    assert found["outside"] == pytest.approx(2.0)
    for minutes in ("0", "-1", "nan", "inf"):
        assert run(["metrics", "anticipation", sides[0], str(table), "--horizon", minutes]) == 1
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert f"A horizon is a number of minutes above 0, not {minutes}." in said


def times(path: Path, late_min: float, columns: str = "Preparation,CalotTriangleDissection") -> str:
    """Of 50 seconds: the second phase comes at 20, and is foretold later by so many minutes."""
    swap = not columns.startswith("Prep")
    rows = []
    for n in range(50):
        cells = (0.0 if n < 20 else 2.0, max(0, 20 - n) / 60 + late_min * (n < 20))
        rows.append(",".join(str(c) for c in (n, *(cells[::-1] if swap else cells))))
    return str(lines(path, [f"second,{columns}", *rows]))


def test_anticipation_of_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Columns in another order, a file that is no table, a video of one phase alone."""
    truth, said = tmp_path / "truth", tmp_path / "said"
    for n in (1, 2):
        lines(truth / f"video0{n}-phase.txt", TRUTH)
    lines(truth / "video03-phase.txt", ["preparation"] * 50)
    times(said / "video01.csv", 0.1)
    times(said / "video02-times.csv", 0.3, "CalotTriangleDissection,Preparation")
    lines(said / "video03.csv", ["second,Preparation,CalotTriangleDissection",
                                 *(f"{n},0.5,2" for n in range(50))])  # fmt: skip
    (said / "README.txt").write_bytes(b"caf\xe9\n")
    asked = ["metrics", "anticipation", str(truth), str(said)]
    assert run([*asked, "--json", "--horizon", "2"]) == 0
    found = printed(capsys)
    assert found["names"] == ["video01", "video02", "video03"]
    (row,), (pair,) = found["horizons"], found["pairs"]  # type: ignore[misc]
    # Only the second phase is ever ahead; in two videos.
    assert row["inside"] == pair["inside"] == pytest.approx((0.1 + 0.3) / 2)
    # It never comes again, nor does preparation, which the tables say.
    assert row["outside"] == pair["outside"] == 0.0
    # Of what is expected, preparation of the third video is off by 0.5, the other by 0.1 and 0.3.
    assert row["expected"] == pytest.approx((0.5 + (0.1 + 0.3) / 2) / 2)
    assert pair["expected"] == pytest.approx((0.5 + 0.1 + 0.3) / 3)
    assert found["notes"] == ["1 file is no label file and was left aside: README.txt."]
    assert run(asked) == 0
    text = capsys.readouterr().out
    assert "3 operations, 2 phases" in text
    assert "mean over videos, then over phases" in text
    (said / "video03.csv").unlink()
    assert run(asked) == 1
    assert "There is no prediction for video03" in capsys.readouterr().err
    lines(said / "video03.csv", ["second,Preparation", *(f"{n},0.5" for n in range(50))])
    assert run(asked) == 1
    assert "video03.csv, line 1: its columns are other phases" in capsys.readouterr().err
    times(said / "video03.csv", 0.1)
    times(said / "video09.csv", 0.1)
    assert run(asked) == 1
    assert "There is no truth for video09" in capsys.readouterr().err
    times(said / "video01-again.csv", 0.1)
    assert run(asked) == 1
    assert "Which operation is video01.csv of?" in capsys.readouterr().err


def test_import_and_export(
    sides: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["import", sides[0]]) == 0
    assert capsys.readouterr().out == "Case 0001 was made of the labels.\n"
    assert run(["import", sides[0], "--json"]) == 0
    assert printed(capsys) == {"cases": [], "known": 1, "notes": []}
    assert run(["export", "all", "--format", "labels", "--out", str(tmp_path / "out")]) == 0
    written = tmp_path / "out" / "video01-phase.txt"
    assert written.read_bytes() == Path(sides[0]).read_bytes()
    capsys.readouterr()
    assert run(["show", "0001", "--json"]) == 0
    assert printed(capsys)["labels"]["splits"]["40/40"] == "train"  # type: ignore[index]
    assert run(["export", "0001", "--format", "phase-csv", "--out", str(tmp_path / "csv")]) == 0
    assert "calot_triangle_dissection" in (tmp_path / "csv" / "phases.csv").read_text()
