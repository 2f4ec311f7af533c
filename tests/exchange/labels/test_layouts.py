"""Each layout by small files of its own: times, names, bytes out again, and every kind of bad line.

``SAMPLES`` are written after the published descriptions; real files stand in ``test_library.py``.
"""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.errors import BadInput
from app.core.labels import LabelledCase
from app.core.taxonomy import find_taxonomy
from app.core.timeline import Segment, Timeline
from app.exchange.labels import cholec80, cholect50, jigsaws, pitvis
from app.exchange.labels.anew import written_anew
from app.exchange.labels.frames import PhasesNow
from app.exchange.labels.lines import lines_of
from app.exchange.labels.reading import (
    LAYOUTS,
    layout_of,
    read_again,
    read_labels,
    splits_of,
    written,
)
from app.learning.recipes import read_recipe

TOOLS = "Grasper\tBipolar\tHook\tScissors\tClipper\tIrrigator\tSpecimenBag"
T50 = {
    "video": 7, "fps": 1, "num_frames": 4,
    "categories": {
        "triplet": {"0": "hook,dissect,liver", "1": "grasper,null_verb,null_target"},
        "instrument": {"0": "grasper", "2": "hook"}, "verb": {"2": "dissect"},
        "target": {"8": "liver"},
        "phase": {"4": "carlot-triangle-dissection", "0": "preparation"},
    },
    "annotations": {
        "0": [[-1] * 14 + [0]],
        "1": [[0, 2, 1.0, 0.5, 0.5, 0.25, 0.125, 2, 8, 1.0, -1, -1, -1, -1, 4]],
        "3": [],
    },
}  # fmt: skip
BYPASS = {
    "phases": [
        {"start": 100, "end": 2000, "label_name": "preparation", "label_id": 0},
        {"start": 500, "end": 900, "label_name": "out_of_body", "label_id": 12},
        {"start": 2000, "end": 5000, "label_name": "gastric_pouch_creation", "label_id": 1},
    ],
    "steps": [{"start": 0, "end": 700, "label_name": "s2_trocar_placement", "label_id": 2}],
}
OPHNET = (
    "\ufeffvideo_id,start,end,split,surgery_id,phase_id,operation_id\r\n"
    "case_0002,0,10,train,5,3,2\r\ncase_0002,9.5,15.23,train,0,6,8\r\ncase_0009,1.50,2,val,0,6,8\r\n"
)
SAMPLES: dict[str, str] = {
    "video03-phase.txt": "Frame\tPhase\n" + "".join(f"{n}\tPreparation\n" for n in range(50)),
    "video04-phase.txt": "preparation\r\nclippingcutting\r\nclippingcutting",
    "video03-tool.txt": f"Frame\t{TOOLS}\n0\t1\t0\t0\t0\t0\t0\t0\n25\t1\t0\t1\t0\t0\t0\t0\n",
    "VID07.json": json.dumps(T50),
    "label_05.txt": "Frame\tPhase\n1\t1\n2\t1\n3\t7\n",
    "annotations_06.csv": "int_video,int_time,int_step,int_instrument1,int_instrument2\n"
    "6,0,-1,-1,-2\n6,1,7,16,8\n6,2,14,0,-2\n",
    "OphNet2024_loca_all.csv": OPHNET,
    "OphNet2024_surgery.csv": '\ufeffvideo_id,surgery\r\ncase_0358,28\r\ncase_0002,"1,13"\r\n',
    "BBP07.mp4.json": json.dumps(BYPASS),
    "Hei-Chole16_Annotation_Phase.csv": "0,0\n1,0\n2,6\n",
    "hei-chole2_annotation_instrument.csv": "0," + ",".join("1" + "0" * 20) + "\n1,"
    + ",".join("0" * 21),
    "Suturing_B001.txt": "80 180 G1 \n181 300 G3 \n",
    "meta_file_Suturing.txt": "Suturing_B001\t\tN\t\t13\t2\t2\t2\t2\t2\t3\n",
}  # fmt: skip


def cases_of(tmp_path: Path, name: str, text: str) -> tuple[LabelledCase, ...]:
    file = tmp_path / name
    file.write_bytes(text.encode())
    return read_labels([file])


def now_of(case: LabelledCase) -> PhasesNow | None:
    line = case.phases
    return None if line is None else PhasesNow(timeline=line, time_base=case.time_base)


def test_cholec80s_phases_and_tools_are_those_of_its_files_in_their_order() -> None:
    """Specs: annotation-formats, section 1."""
    phases = (
        "Preparation CalotTriangleDissection ClippingCutting GallbladderDissection "
        "GallbladderPackaging CleaningCoagulation GallbladderRetraction"
    )
    keys = [phase.key for phase in find_taxonomy("cholecystectomy").phases]
    assert [cholec80.PHASES.key(word) for word in phases.split()] == keys
    tools = ["grasper", "bipolar", "hook", "scissors", "clipper", "irrigator", "specimen_bag"]
    assert [cholec80.TOOLS.key(word) for word in TOOLS.split()] == tools
    recipe = read_recipe("endonet")
    assert (list(recipe.classes), list(recipe.tools)) == (keys, tools)


@pytest.mark.parametrize("name", SAMPLES)
def test_what_nobody_changed_goes_out_as_it_came(name: str, tmp_path: Path) -> None:
    cases = cases_of(tmp_path, name, SAMPLES[name])
    for case in cases:
        (lines,) = written(case.files, now_of(case))
        assert lines.content == case.files[0].content
        assert read_again(case.files) == case
    if len(cases) == 1 and name.endswith(".json"):
        assert cases[0].files[0].content == SAMPLES[name].encode()


def spans(case: LabelledCase) -> list[tuple[float, float, str]]:
    assert case.phases is not None
    base = case.time_base
    return [(float(s.start_pts * base), float(s.end_pts * base), s.phase)
            for s in case.phases.segments]  # fmt: skip


def test_times_and_names_of_each_layout(tmp_path: Path) -> None:
    read = {name: cases_of(tmp_path, name, text)[0] for name, text in SAMPLES.items()}
    assert spans(read["video03-phase.txt"]) == [(0, 2, "preparation")]
    assert spans(read["video04-phase.txt"]) == [(0, 1, "preparation"), (1, 3, "clipping_cutting")]
    # Frame 1 is the first second; the file's 7 is the seventh phase.
    assert spans(read["label_05.txt"]) == [(0, 2, "preparation"), (2, 3, "washing")]
    # 4 is Calot's triangle in this file, whatever it is in others; second 2 has no label.
    assert spans(read["VID07.json"]) == [(0, 1, "preparation"), (1, 2, "calot_triangle_dissection")]
    assert spans(read["annotations_06.csv"]) == [
        (1, 2, "tumour_excision"),
        (2, 3, "debris_clearance"),
    ]
    # The overlap goes to the later one.
    assert spans(read["OphNet2024_loca_all.csv"]) == [(0, 9.5, "phase_3"), (9.5, 15.23, "phase_6")]
    assert spans(read["BBP07.mp4.json"]) == [
        (0.1, 2, "preparation"),
        (2, 5, "gastric_pouch_creation"),
    ]
    # Video 16 has 50 frames a second.
    assert spans(read["Hei-Chole16_Annotation_Phase.csv"])[0] == (0, 0.04, "preparation")
    # Frames 80 to 180, both included, from 1, at 30 a second.
    assert spans(read["Suturing_B001.txt"])[0] == (79 / 30, 6, "g1")
    assert read["OphNet2024_surgery.csv"].facts == ("surgery 28",)
    assert read["meta_file_Suturing.txt"].facts == ("novice, rated 13 of 30",)
    rows = {r.name: [(s.start_pts, s.end_pts) for s in r.segments] for r in
            read["video03-tool.txt"].rows}  # fmt: skip
    assert (rows["Grasper"], rows["Hook"], rows["Clipper"]) == ([(0, 50)], [(25, 50)], [])
    overlaid = {r.name: len(r.segments) for r in read["BBP07.mp4.json"].rows}
    assert overlaid == {"Out of body": 1, "Severe events": 0, "Steps": 1}
    assert {r.name for r in read["annotations_06.csv"].rows} == {"Suction", "Kerrisons"}
    assert read["hei-chole2_annotation_instrument.csv"].rows[0].name == "Grasper"


def test_files_of_one_operation_are_one_case(tmp_path: Path) -> None:
    for name in ("video03-phase.txt", "video03-tool.txt", "OphNet2024_surgery.csv"):
        (tmp_path / name).write_bytes(SAMPLES[name].encode())
    (tmp_path / "notes.txt").write_text("nothing", encoding="utf-8")
    (tmp_path / "OphNet2024_loca_all.csv").write_bytes(OPHNET.encode())
    cases = {case.name: case for case in read_labels([tmp_path])}
    assert set(cases) == {"video03", "case_0002", "case_0009", "case_0358"}
    assert len(cases["video03"].files) == 2
    assert cases["case_0002"].facts == ("split train", "surgery 1, 13")
    assert cases["case_0358"].length == 0


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("video01-phase.txt", "preparation\n\nclippingcutting\n", "line 2: it is empty"),
        ("video01-phase.txt", "preparation\nsuturing\n", "line 2: “suturing” is no phase"),
        ("video01-phase.txt", "3\n", "line 1: the number 3 names no phase by itself"),
        ("video01-phase.txt", "Frame\tPhase\n0\tPreparation\n5\tPreparation\n12\tPreparation\n",
         "line 4: frame 12 stands where 10 is due; 10 is missing"),
        ("video01-phase.txt", "Frame\tPhase\n0\tPreparation\n75\tPreparation\n",
         "line 3: frame 75 stands where 1 or 5 or 25 is due"),
        ("video01-tool.txt", f"Frame\t{TOOLS}\n0\t1\t0\t0\t0\t0\t0\t0\n75\t1\t0\t0\t0\t0\t0\t0\n",
         "line 3: frame 75 stands where 25 is due"),
        ("hei-chole2_annotation_action.csv", "0,1,0,0,0\n25,1,0,0,0\n",
         "line 2: frame 25 stands where 1 is due"),
        ("video01-phase.txt", "Frame\tPhase\n0\tPreparation\n1\tPreparation\n1\tPreparation\n",
         "line 4: .* comes twice or is out of order"),
        ("video01-phase.txt", "Frame\tPhase\n0 Preparation x\n", "line 2: expected the number"),
        ("video01-phase.txt", "", "is empty"),
        ("video01-tool.txt", f"Frame\t{TOOLS}\n0\t1\t0\n", "line 2: expected a frame and 7"),
        ("video01-tool.txt", f"Frame\t{TOOLS}\n0\t1\t0\t0\t0\t0\t0\t2\n", "line 2: expected 0"),
        ("video01-tool.txt", "Frame\tGrasper\tGrasper\n0\t1\t0\n", "“Grasper” stands twice"),
        ("label_01.txt", "Frame\tPhase\n0\t1\n", "line 2: frame 0 stands where 1 is due"),
        ("label_01.txt", "Frame\tPhase\n1\t8\n", "line 2: “8” is no phase of AutoLaparo"),
        ("annotations_01.csv", "int_video,int_time,int_step,int_instrument1,int_instrument2\n"
         "1,0,-1,4,-2\n", "line 2: int_step is -1 and int_instrument1 is 4"),
        ("annotations_01.csv", "int_time,int_instrument1,int_instrument2\n0,4,-2\n1,4,-1\n",
         "line 3: int_instrument1 is 4 and int_instrument2 is -1"),
        ("annotations_01.csv", "int_time,int_instrument1,int_instrument2\n0,-1,4\n",
         "line 2: int_instrument1 is -1 and int_instrument2 is 4"),
        ("annotations_01.csv", "int_time,int_step\n0,1\n1,0\n", "line 3: int_step is 0"),
        ("annotations_01.csv", "int_time,int_step\n0,1\n2,1\n", "line 3: times go by|is due"),
        ("OphNet2024_x.csv", OPHNET + "case_0009,5,4,val,0,6,8\r\n", "line 5: it goes from 5 to 4"),
        ("OphNet2024_x.csv", OPHNET + "case_0009,5,6,train,0,6,8\n", "line 5: .* in two splits"),
        ("OphNet2024_x.csv", OPHNET + "case_0009,5,6,val\n", "line 5: expected 7 columns, not 4"),
        ("Hei-Chole1_Annotation_Phase.csv", "0,0\n1,7\n", "line 2: 7 is no phase"),
        ("hei-chole2_annotation_instrument.csv", "0,1,1\n", "line 1: expected a frame and 21"),
        ("Suturing_B001.txt", "10 20 G1\n15 30 G2\n", "line 2: it begins before"),
        ("Suturing_B001.txt", "0 20 G1\n", "line 1: it goes from frame 0"),
        ("Suturing_B001.txt", "1 20 G16\n", "line 1: G16 is no gesture"),
        ("BBP01.mp4.json", json.dumps({"phases": [*BYPASS["phases"], {"start": 4000, "end": 6000,
         "label_name": "disassembling"}]}), "overlaps disassembling from 4000 ms"),
        ("BBP01.mp4.json", '{"phases": [{"start": 1, "end": 2, "label_name": "lunch"}]}',
         "entry 1 of “phases”: “lunch” is no phase"),
        ("VID01.json", json.dumps({**T50, "annotations": {"5": [[1, 2]]}}), "frame 5: expected"),
        ("VID01.json", json.dumps({**T50, "annotations": {"3": [[9] + [-1] * 14]}}), "frame 3: 9"),
        ("VID01.json", json.dumps({**T50, "annotations": {"0": [], "900": []}, "num_frames": 3}),
         "frame 900: the file has 3 frames"),
        ("BBP01.mp4.json", json.dumps({**BYPASS, "phases": [{**BYPASS["phases"][0],
         "label_id": 5}]}), "entry 1 of “phases”: label_id is 5, and preparation has 0"),
        ("BBP01.mp4.json", json.dumps({**BYPASS, "steps": [{**BYPASS["steps"][0],
         "label_id": "2"}]}), "entry 1 of “steps”: label_id is '2', and s2_trocar_placement has 2"),
        ("VID01.json", json.dumps({"annotations": {"5": []}, "num_frames": 1}), "does not name"),
    ],
)  # fmt: skip
def test_a_bad_line_is_named(name: str, text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=says) as told:
        cases_of(tmp_path, name, text)
    assert name in told.value.user_message


def test_numbers_are_named_by_the_table_beside_them(tmp_path: Path) -> None:
    (tmp_path / "mapping.txt").write_text("0 ClippingCutting\n1 Preparation\n", encoding="utf-8")
    (case,) = cases_of(tmp_path, "video01-phase.txt", "1\n0\n")
    assert [s.phase for s in case.phases.segments] == ["preparation", "clipping_cutting"]  # type: ignore[union-attr]
    assert read_again(case.files) == case
    (tmp_path / "map_steps.csv").write_text("int_step,str_step\n1,durotomy\n2,sellotomy \n",
                                            encoding="utf-8")  # fmt: skip
    (case,) = cases_of(tmp_path, "annotations_01.csv", "int_time,int_step\n0,1\n1,2\n")
    assert [s.phase for s in case.phases.segments] == ["durotomy", "sellotomy"]  # type: ignore[union-attr]


def test_no_text_and_no_label_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "video01-phase.txt").write_bytes(b"preparation\n\xff\xfe\n")
    with pytest.raises(BadInput, match=r"video01-phase\.txt, line 2: it is not UTF-8"):
        read_labels([tmp_path / "video01-phase.txt"])
    with pytest.raises(BadInput, match=r"notes\.txt is no label file"):
        cases_of(tmp_path, "notes.txt", "preparation")
    for name, text in (("a", "preparation\n"), ("b", "clippingcutting\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "video03-phase.txt").write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match=r"Two files video03-phase\.txt name different"):
        read_labels([tmp_path / "a", tmp_path / "b"])


def changed(case: LabelledCase, start_s: float, end_s: float, phase: str) -> PhasesNow:
    assert case.phases is not None
    start, end = (round(Fraction(s) / case.time_base) for s in (start_s, end_s))
    return PhasesNow(timeline=case.phases.painted(start, end, phase), time_base=case.time_base)


@pytest.mark.parametrize(
    ("name", "change", "before", "after"),
    [
        ("label_05.txt", (1, 2, "suturing"), "2\t1\n", "2\t6\n"),
        ("annotations_06.csv", (0, 1, "durotomy"), "6,0,-1,-1,-2", "6,0,6,0,-2"),
        ("Hei-Chole16_Annotation_Phase.csv", (0.02, 0.04, "gallbladder_packaging"), "1,0", "1,4"),
        ("OphNet2024_loca_all.csv", (0, 2, "phase_9"), "case_0002,0,10,train,5,3,2\r\n",
         "case_0002,0,2,train,5,9,\r\ncase_0002,2,9.5,train,5,3,2\r\n"),
        ("Suturing_B001.txt", (79 / 30, 6, "g2"), "80 180 G1 ", "80 180 G2 "),
    ],
)  # fmt: skip
def test_what_was_changed_is_written_and_nothing_else(
    name: str, change: tuple[float, float, str], before: str, after: str, tmp_path: Path
) -> None:
    case = cases_of(tmp_path, name, SAMPLES[name])[0]
    (lines,) = written(case.files, changed(case, *change))
    own = case.files[0].content.decode()
    assert sorted(lines.content.decode().splitlines()) == sorted(
        own.replace(before, after).splitlines()
    )


def test_a_change_in_json_keeps_the_rest(tmp_path: Path) -> None:
    case = cases_of(tmp_path, "VID07.json", SAMPLES["VID07.json"])[0]
    (lines,) = written(case.files, changed(case, 1, 2, "preparation"))
    expected = json.loads(SAMPLES["VID07.json"])
    expected["annotations"]["1"][0][14] = 0
    assert lines.content == json.dumps(expected).encode()
    case = cases_of(tmp_path, "BBP07.mp4.json", SAMPLES["BBP07.mp4.json"])[0]
    (lines,) = written(case.files, changed(case, 2, 3, "preparation"))
    starts = [(r["start"], r["end"], r["label_id"]) for r in json.loads(lines.content)["phases"]]
    assert starts == [(100, 2000, 0), (500, 900, 12), (2000, 3000, 0), (3000, 5000, 1)]


@pytest.mark.parametrize("name", ["video04-phase.txt", "label_05.txt", "Suturing_B001.txt"])
def test_what_a_layout_cannot_say_is_refused(name: str, tmp_path: Path) -> None:
    case = cases_of(tmp_path, name, SAMPLES[name])[0]
    with pytest.raises(BadInput, match=rf"{name} cannot be written"):
        written(case.files, changed(case, 0, 3, "insertion"))


def test_splits_are_whole_and_do_not_meet() -> None:
    for layout in LAYOUTS:
        for parts in layout.SPLITS.values():
            sets = list(parts.values())
            assert sum(map(len, sets)) == len(frozenset[str]().union(*sets))
    assert splits_of("cholec80", "video45") == {
        "40/40": "test",
        "32/8/40": "test",
        "40/8/32": "val",
    }
    assert {len(p["train"] | p["test"]) for n, p in cholect50.SPLITS.items() if "fold" in n} == {50}
    assert {k: len(v) for k, v in cholect50.SPLITS["35/5/10"].items()} == {
        "train": 35, "val": 5, "test": 10,
    }  # fmt: skip
    assert splits_of("jigsaws", "Suturing_B003")["leave user B out"] == "test"
    assert len(pitvis.SPLITS["usual"]["train"]) == 20
    assert jigsaws.SPLITS


PHASES = st.sampled_from([p.key for p in find_taxonomy("cholecystectomy").phases])
NOISE = (b"", b"\xff", b"-1", b"\n", b",", b"\t", b"99999999999", b"nan", b"null", b"[]", b'"',
         b"x", b"\x00", b" ")  # fmt: skip


@given(st.lists(PHASES, min_size=1, max_size=60), st.booleans(), st.sampled_from(["\n", "\r\n"]),
       st.booleans())  # fmt: skip
def test_any_phases_come_back(keys: list[str], bom: bool, end: str, last: bool) -> None:
    words = [cholec80.PHASES.spelling(key) or "" for key in keys]
    data = ("\ufeff" * bom + end.join(words) + end * last).encode()
    lines = lines_of("video01-phase.txt", data)
    (case,) = cholec80.read(lines, {})
    assert case.phases is not None
    assert [case.phases.phase_at(t) for t in range(case.length)] == keys
    assert written(case.files, now_of(case))[0].content == data


@given(st.lists(PHASES, min_size=2, max_size=30), st.data())
def test_any_change_is_read_back(keys: list[str], data: st.DataObject) -> None:
    text = "Frame\tPhase\n" + "".join(f"{n}\t{key}\n" for n, key in enumerate(keys))
    (case,) = cholec80.read(lines_of("video01-phase.txt", text.encode()), {})
    other = data.draw(st.lists(PHASES, min_size=len(keys), max_size=len(keys)))
    line = Timeline(start_pts=0, end_pts=len(keys), segments=tuple(
        Segment(start_pts=t, end_pts=t + 1, phase=key) for t, key in enumerate(other)
    ))  # fmt: skip
    (again,) = written(case.files, PhasesNow(timeline=line, time_base=case.time_base))
    (read,) = cholec80.read(again, {})
    assert read.phases is not None
    assert [read.phases.phase_at(t) for t in range(len(keys))] == other


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Suturing_B001.txt", "\n80 180 G1 \n\n181 300 G3 \n\n"),
        ("OphNet2024_loca_all.csv", "".join(OPHNET.splitlines(True)[n] for n in (0, 2, 1))),
    ],
)
def test_empty_lines_and_the_order_of_rows_are_kept(name: str, text: str, tmp_path: Path) -> None:
    (case,) = cases_of(tmp_path, name, text)
    (lines,) = written(case.files, now_of(case))
    assert lines.content == case.files[0].content == text.encode()


@settings(max_examples=150)
@given(st.sampled_from(sorted(SAMPLES)), st.data())
def test_damage_is_one_sentence_or_a_case(name: str, data: st.DataObject) -> None:
    """Whatever the bytes: labels that fit together, or a sentence that names the file."""
    body = SAMPLES[name].encode()
    at = data.draw(st.integers(0, len(body)))
    body = body[:at] + data.draw(st.sampled_from(NOISE)) + body[at + data.draw(st.integers(0, 9)) :]
    try:
        lines = lines_of(name, body)
        layout = next((known for known in LAYOUTS if known.belongs(lines)), None)
        cases = layout.read(lines, {}) if layout is not None else ()
        for case in cases:
            (again,) = written(case.files, now_of(case))
            assert again.content == case.files[0].content
    except BadInput as error:
        said = error.user_message
    else:
        return
    assert name in said


@pytest.mark.parametrize(
    ("layout", "phases"),
    [
        ("cholec80", ("preparation", "clipping_cutting")),
        ("heichole", ("preparation", "gallbladder_packaging")),
        ("autolaparo", ("preparation", "suturing")),
        ("pitvis", ("sellotomy", "durotomy")),
        ("ophnet", ("phase_3", "phase_7")),
        ("multibypass140", ("preparation", "disassembling")),
        ("jigsaws", ("g2", "g3")),
    ],
)
def test_phases_of_ones_own_become_a_new_file(layout: str, phases: tuple[str, str]) -> None:
    """At 30 frames a second, of which no layout but one knows anything."""
    one, two = phases
    segments = (Segment(start_pts=0, end_pts=60, phase=one),
                Segment(start_pts=60, end_pts=150, phase=two))  # fmt: skip
    now = PhasesNow(
        timeline=Timeline(start_pts=0, end_pts=150, segments=segments), time_base=Fraction(1, 30)
    )
    lines = written_anew(layout, 16, now)
    known = layout_of(layout)
    assert known.belongs(lines)
    (case,) = known.read(lines, {})
    assert spans(case) == [(0, 2, one), (2, 5, two)]


def test_a_gap_that_a_layout_cannot_say_is_named() -> None:
    line = Timeline(
        start_pts=0, end_pts=9, segments=(Segment(start_pts=4, end_pts=9, phase="preparation"),)
    )
    now = PhasesNow(timeline=line, time_base=Fraction(1))
    with pytest.raises(BadInput, match="there is no phase at 0 s"):
        written_anew("cholec80", 1, now)
    with pytest.raises(BadInput, match="CholecT50 cannot be written"):
        written_anew("cholect50", 1, now)
