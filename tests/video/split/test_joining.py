"""Which files are one recording, in which order, and what is lost between them."""

from __future__ import annotations

import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from app.core.errors import BadInput, Refused
from app.video import describe_joined, find_recordings
from app.video.split.joined import gap_sentences
from app.video.split.joining import _recordings, in_order, one_recording
from app.video.split.part_times import by_time, glance
from app.video.split.recorders import MOST_FILES, group_by_name, named_utc_ms, natural, video_files
from tests.helpers.parts import four_parts, write_part


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """These files are the tests' own: a child process that looks at each costs half the time."""
    monkeypatch.setattr("app.video.opening.first_look", lambda _path, _cancelled: None)


def grouped(*names: str) -> list[list[str]]:
    return [[p.name for p in g.files] for g in group_by_name(Path(n) for n in names)]


@pytest.mark.parametrize(
    "names",
    [
        ("VTS_01_1.VOB", "VTS_01_2.VOB", "VTS_01_10.VOB"),
        ("00001.MTS", "00002.MTS", "00010.MTS"),
        ("GX010042.MP4", "GX020042.MP4"),
        ("GOPR0042.MP4", "GP010042.MP4", "GP020042.MP4"),
        ("REC_0001_1.mp4", "REC_0001_2.mp4"),
        ("video-part1.mp4", "video-part2.mp4"),
        ("capt0_20240101-101500.mpg", "capt0_20240101-103000.mpg"),
        ("20240101_101500_1.mp4", "20240101_101500_2.mp4"),
        ("Teil 9.avi", "Teil 10.avi"),
    ],
)
def test_names_that_recorders_give_to_parts(names: tuple[str, ...]) -> None:
    (group,) = group_by_name(Path(n) for n in reversed(names))
    assert [p.name for p in group.files] == list(names)
    assert group.certain


def test_names_of_several_recordings_stay_apart() -> None:
    assert grouped("VTS_01_1.VOB", "VTS_02_1.VOB", "VTS_01_2.VOB") == [
        ["VTS_01_1.VOB", "VTS_01_2.VOB"],
        ["VTS_02_1.VOB"],
    ]
    assert grouped("GX010042.MP4", "GX010043.MP4") == [["GX010042.MP4"], ["GX010043.MP4"]]
    assert grouped("capt0_20240101-101500.mpg", "capt1_20240101-101500.mpg") == [
        ["capt0_20240101-101500.mpg"],
        ["capt1_20240101-101500.mpg"],
    ]
    assert grouped("a/REC_1_1.mp4", "b/REC_1_2.mp4") == [["REC_1_1.mp4"], ["REC_1_2.mp4"]]
    assert grouped("REC_1_1.mp4", "REC_1_2.mpg") == [["REC_1_1.mp4"], ["REC_1_2.mpg"]]
    assert grouped("one.mp4", "two.mp4") == [["one.mp4"], ["two.mp4"]]


def test_a_lone_number_may_as_well_count_operations() -> None:
    (group,) = group_by_name([Path("video01.mp4"), Path("video02.mp4")])
    assert not group.certain


def test_natural_order_and_moments_in_names() -> None:
    assert sorted(["b10", "b9", "B1", "a"], key=natural) == ["a", "B1", "b9", "b10"]
    assert named_utc_ms(Path("x_20240102-030405.mpg")) == 1704164645000
    assert named_utc_ms(Path("2024-01-02 03.04.05.mkv")) == 1704164645000
    assert named_utc_ms(Path("20241302-030405.mpg")) is None
    assert named_utc_ms(Path("video.mpg")) is None


def test_a_stick_with_what_is_no_video(tmp_path: Path) -> None:
    stream = tmp_path / "PRIVATE" / "AVCHD" / "BDMV" / "STREAM"
    stream.mkdir(parents=True)
    for name in ("00002.MTS", "00001.MTS", "00001.CPI", "._00001.MTS"):
        (stream / name).touch()
    (tmp_path / "VIDEO_TS").mkdir()
    for name in ("VIDEO_TS.VOB", "VTS_01_0.VOB", "VTS_01_1.VOB", "VTS_01_0.IFO"):
        (tmp_path / "VIDEO_TS" / name).touch()
    (tmp_path / ".Trashes").mkdir()
    (tmp_path / ".Trashes" / "old.mp4").touch()
    (tmp_path / "GX010042.THM").touch()
    assert [p.name for p in video_files(tmp_path)] == ["00001.MTS", "00002.MTS", "VTS_01_1.VOB"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="no video"):
        video_files(tmp_path / "empty")


def test_a_folder_of_thousands_is_no_recorder_s(tmp_path: Path) -> None:
    for number in range(MOST_FILES + 1):
        (tmp_path / f"{number}.mp4").touch()
    with pytest.raises(BadInput, match="more than"):
        video_files(tmp_path)


def test_parts_whose_times_go_on(tmp_path: Path) -> None:
    files = four_parts(tmp_path / "stick", ".ts", (20, 15, 25, 10))
    (tmp_path / "stick" / "index.xml").write_text("<x/>")
    (found,) = find_recordings([tmp_path / "stick"]).recordings
    assert [f.path for f in found.files] == files
    assert found.agrees
    assert found.gaps_ms == (None, 0.0, 0.0, 0.0)
    assert in_order(found, None) == tuple(files)


def test_gaps_and_overlaps_are_measured_to_the_frame(tmp_path: Path) -> None:
    gap = Fraction(36, 25)
    starts = (Fraction(10), 12 + gap, 13 + gap)
    files = [
        write_part(tmp_path / f"p_1_{i}.ts", range(50 * i, 50 * i + 50), start_s=start)
        for i, start in enumerate(starts)
    ]
    asset = describe_joined(files, "a")
    assert [p.gap_ms for p in asset.parts] == [None, pytest.approx(1440), pytest.approx(-1000)]
    assert gap_sentences(asset.parts) == (
        "About 1.4 s are missing before p_1_1.ts.",
        "About 1.0 s are recorded twice at the start of p_1_2.ts.",
    )
    assert asset.duration_ms == 6000


def test_times_of_headers_and_names_when_every_file_begins_at_zero(tmp_path: Path) -> None:
    headers = ("2024-05-01T10:00:00Z", "2024-05-01T10:00:12Z")
    files = [
        write_part(tmp_path / f"r_1_{i}.mp4", range(50), created=moment)
        for i, moment in enumerate(headers)
    ]
    (found,) = find_recordings(files).recordings
    assert found.gaps_ms == (None, pytest.approx(10_000))
    named = [
        write_part(tmp_path / f"capt0_20240501-1000{s}.mp4", range(50)) for s in ("00", "02", "30")
    ]
    (found,) = find_recordings(named).recordings
    assert found.gaps_ms == (None, 0.0, pytest.approx(26_000))
    assert describe_joined(named, "a").parts[2].gap_ms == pytest.approx(26_000)


def test_files_hours_apart_are_recordings_of_their_own(tmp_path: Path) -> None:
    days = ("2024-05-01T10:00:00Z", "2024-05-01T10:00:02Z", "2024-05-01T14:00:00Z")
    for number, moment in enumerate(days):
        write_part(tmp_path / f"0000{number}.mp4", range(50), created=moment)
    found = find_recordings([tmp_path]).recordings
    assert [[f.path.name for f in r.files] for r in found] == [
        ["00000.mp4", "00001.mp4"],
        ["00002.mp4"],
    ]
    with pytest.raises(Refused, match="2 recordings"):
        one_recording([tmp_path])
    assert len(one_recording([tmp_path], join=True)) == 3


def test_a_lone_number_is_a_part_where_the_times_say_so(tmp_path: Path) -> None:
    for number, start in enumerate((10, 12)):
        write_part(tmp_path / f"video{number}.ts", range(50), start_s=Fraction(start))
    for number in range(2):
        write_part(tmp_path / f"case{number}.mp4", range(20))
    found = find_recordings([tmp_path]).recordings
    assert [len(r.files) for r in found] == [1, 1, 2]


@pytest.mark.parametrize(
    ("lengths_s", "recordings"),
    [((900, 900, 900, 200), 1), ((900, 870, 400), 3), ((30, 30, 30), 3), ((900, 200), 2)],
)
def test_files_of_one_length_were_split_by_a_recorder(
    lengths_s: tuple[int, ...], recordings: int, tmp_path: Path
) -> None:
    look = glance(write_part(tmp_path / "video01.mp4", range(4)))
    looks = [
        replace(look, path=tmp_path / f"video{i}.mp4", duration_s=float(s))
        for i, s in enumerate(lengths_s)
    ]
    assert len(_recordings(looks, certain=False)) == recordings


def test_names_and_times_that_disagree_are_asked_about(tmp_path: Path) -> None:
    first = write_part(tmp_path / "r_1_2.ts", range(50), start_s=Fraction(10))
    second = write_part(tmp_path / "r_1_1.ts", range(50, 100), start_s=Fraction(12))
    (found,) = find_recordings([tmp_path]).recordings
    assert not found.agrees
    with pytest.raises(Refused, match=r"by name r_1_1.ts, r_1_2.ts; by time r_1_2.ts, r_1_1.ts"):
        one_recording([tmp_path])
    assert one_recording([tmp_path], order="time") == (first, second)
    assert one_recording([tmp_path], order="name") == (second, first)
    assert one_recording([first, second], join=True) == (first, second)
    assert one_recording([second, first], join=True, order="time") == (first, second)


def test_times_of_last_change_order_only_what_was_recorded_live(tmp_path: Path) -> None:
    files = [write_part(tmp_path / f"r_1_{i}.mp4", range(50)) for i in range(2)]
    for path, moment in zip(files, (2000, 1000), strict=True):
        os.utime(path, (moment, moment))
    assert by_time([glance(p) for p in files]) is not None
    for path in files:
        os.utime(path, (1000, 1000))
    looks = [glance(p) for p in files]
    assert by_time(looks) is None
    with pytest.raises(BadInput, match="do not say"):
        one_recording([tmp_path], order="time")


def test_what_cannot_be_opened_is_left_out_and_named(tmp_path: Path) -> None:
    write_part(tmp_path / "r_1_1.mp4", range(20))
    (tmp_path / "r_1_2.mp4").write_bytes(b"nothing")
    found = find_recordings([tmp_path])
    assert [len(r.files) for r in found.recordings] == [1]
    assert [name for name, _ in found.left_out] == ["r_1_2.mp4"]
    (tmp_path / "r_1_1.mp4").unlink()
    (tmp_path / "r_1_3.mp4").write_bytes(b"nothing")
    with pytest.raises(BadInput, match="None of these 2 files"):
        find_recordings([tmp_path])
