"""``trocar clip``: an excerpt, with and without its overlay."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from app.cli.main import run
from app.store import Library
from app.video import describe_asset, open_video
from tests.helpers.clips import RECIPES, make_clip, number_of
from tests.helpers.phantom_case import make_case, phantom_clip
from tests.helpers.torture import two_streams


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("film") / "film.ts", RECIPES["h264-ts"])


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return phantom_clip(tmp_path_factory.mktemp("clip"))


def test_frames_of_a_stretch(
    film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.mp4"
    asked = ["clip", str(film), "--from", "0.68", "--to", "1.36", "--out", str(out), "--json"]
    assert run(asked) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["first"], said["last"], said["frames"], said["lossless"]) == (17, 33, 17, False)
    assert (said["overlay"], said["sound"], said["out"]) == (False, False, str(out))
    with open_video(out, trusted=True) as found:
        assert [number_of(f.rgb) for f in found.frames()] == list(range(17, 34))


def test_lossless_from_keyframe_to_keyframe(
    film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for more in ([], ["--lossless"]):
        out = tmp_path / f"out{len(more)}.mkv"
        times = ["--from", "0.6", "--to", "1.2"]
        assert run(["clip", str(film), *times, "--out", str(out), "--json", *more]) == 0
        said = json.loads(capsys.readouterr().out)
        assert (said["first"], said["last"], said["lossless"]) == (15, 29, True)


def test_overlay_of_a_case_bears_the_research_line(
    own_library: Path, phantom: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Library.open(own_library, ballast_bytes=4096) as library:
        case = make_case(library, phantom)
        drawn = library.annotations(case.assets[0].asset_id)[0]
    start = f"{case.assets[0].time_ms(drawn.frame.pts) / 1000:.3f}"
    end = f"{case.assets[0].time_ms(drawn.frame.pts) / 1000 + 0.2:.3f}"
    plain, first, second = (tmp_path / f"{n}.mp4" for n in ("plain", "file", "case"))
    times = ["--from", start, "--to", end, "--json"]
    assert run(["clip", "--case", case.case_id, *times, "--out", str(plain)]) == 0
    assert run(["clip", str(phantom), *times, "--overlay", "--out", str(first)]) == 0
    assert run(["clip", "--case", case.case_id, *times, "--overlay", "--out", str(second)]) == 0
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    other = ["--recording", "2", "--out", str(tmp_path / "third.mp4")]
    assert run(["clip", "--case", case.case_id, *times, *other]) == 1
    assert "has no recording 2, only 1" in capsys.readouterr().err
    assert [s["overlay"] for s in said] == [False, True, True]
    assert len({(s["first"], s["last"]) for s in said}) == 1
    pictures = []
    for path in (plain, first, second):
        with open_video(path, trusted=True) as found:
            pictures.append(found.frame(0).rgb.astype(int))
    assert np.abs(pictures[1] - pictures[2]).mean() < 0.5
    changed = np.abs(pictures[1] - pictures[0]).max(axis=2) > 60
    height, width = changed.shape
    corner = changed[height * 9 // 10 :, : width // 3]
    assert corner.mean() > 0.02  # the research line
    left, top, right, bottom = drawn.mask.box
    assert changed[top:bottom, left:right].any()  # the outline


def test_refusals_in_one_sentence(
    film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "out.mp4")]
    times = ["--from", "0.2", "--to", "1"]
    assert run(["clip", *times, *out]) == 2
    assert run(["clip", str(film), "--case", "0001", *times, *out]) == 2
    capsys.readouterr()
    for asked in (
        [str(film), "--from", "1", "--to", "0.5", *out],
        [str(film), "--from", "5", "--to", "9", *out],
        [str(film), *times, "--out", str(tmp_path / "out.gif")],
        [str(film), *times, *out, "--sound"],
        [str(film), *times, *out, "--overlay"],
        [str(tmp_path / "missing.mp4"), *times, *out],
    ):
        assert run(["clip", *asked]) == 1
        told = capsys.readouterr().err
        assert told.count("\n") == 1
    assert not list(tmp_path.glob("*.mp4"))


def test_what_is_there_is_replaced_only_where_that_is_asked_for(
    own_library: Path,
    film: Path,
    phantom: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, own = tmp_path / "out.mp4", tmp_path / "own.mp4"
    times = ["--from", "0.2", "--to", "0.4"]
    out.write_bytes(b"an earlier file")
    assert run(["clip", str(film), *times, "--out", str(out)]) == 1
    told = capsys.readouterr().err
    assert "out.mp4 is there already" in told
    assert told.count("\n") == 1
    assert out.read_bytes() == b"an earlier file"
    assert run(["clip", str(film), *times, "--out", str(out), "--overwrite"]) == 0
    assert out.stat().st_size > 1000
    shutil.copy(phantom, own)
    with Library.open(own_library, ballast_bytes=4096) as library:
        first = make_case(library, phantom)
        asset = describe_asset(own, "rec-2")
        second = library.writer.create_case("Other", first.procedure, (asset,)).result()
    capsys.readouterr()
    asked = ["clip", "--case", first.case_id, *times, "--out", str(own), "--overwrite"]
    assert run(asked) == 1
    assert f"own.mp4 is a recording of case {second.case_id}" in capsys.readouterr().err
    assert own.read_bytes() == phantom.read_bytes()


def test_a_clip_of_a_file_replaces_nothing_that_was_recorded(
    own_library: Path, film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The library's recordings, also where they were moved to, and the parts beside the file."""
    folder = tmp_path / "stick"
    folder.mkdir()
    first, second, other, moved = (
        folder / f"{n}.mp4" for n in ("REC_1_1", "REC_1_2", "other", "moved")
    )
    for path in (first, second):
        shutil.copy(film, path)
    make_clip(other, RECIPES["h264-mp4"])
    with Library.open(own_library, ballast_bytes=4096) as library:
        assets = (describe_asset(other, "rec-1"),)
        case = library.writer.create_case("Other", "unknown", assets).result()
    known = other.read_bytes()
    times = ["--from", "0.2", "--to", "0.4", "--overwrite"]
    for out, words in (
        (other, f"other.mp4 is a recording of case {case.case_id}"),
        (moved, f"moved.mp4 is a recording of case {case.case_id}"),
        (second, "REC_1_2.mp4 may be a part of the same recording as REC_1_1.mp4"),
        (first, "REC_1_1.mp4 is the recording itself"),
    ):
        if out == moved:
            other.rename(moved)
        before = out.read_bytes()
        assert run(["clip", str(first), *times, "--out", str(out)]) == 1
        assert words in capsys.readouterr().err
        assert out.read_bytes() == before
    assert moved.read_bytes() == known


def test_the_overlay_of_a_file_is_drawn_on_the_stream_of_its_case(
    own_library: Path, tmp_path: Path
) -> None:
    film, out = tmp_path / "film.mp4", tmp_path / "out.mp4"
    two_streams(film)
    with Library.open(own_library, ballast_bytes=4096) as library:
        asset = describe_asset(film, "rec-1", stream=1)
        library.writer.create_case("Second camera", "cholecystectomy", (asset,)).result()
    times = ["--from", "0.2", "--to", "0.4"]
    assert run(["clip", str(film), *times, "--overlay", "--out", str(out)]) == 0
    with open_video(out, trusted=True) as found:
        assert [number_of(f.rgb) for f in found.frames()] == list(range(1005, 1010))
