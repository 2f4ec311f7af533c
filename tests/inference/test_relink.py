"""Split recordings in the library: one case, analysed over its joins, found again wherever."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from app.core.case import Asset, Case
from app.core.errors import BadInput, Refused
from app.inference.analysis import AnalysisJob
from app.inference.cards import find_model
from app.inference.device import DeviceChoice
from app.inference.new_case import case_of, complete_fingerprints
from app.inference.relink import look_for, missing_files, relink
from app.store import Library
from app.video import open_recording
from tests.helpers.clips import RECIPES, make_clip, motion_jpeg, number_of
from tests.helpers.parts import four_parts, label_every_fifth, remuxed, write_part
from tests.helpers.torture import two_streams
from tests.inference.conftest import save_instruments, save_phases

CPU = DeviceChoice(device="cpu", name="CPU", reason="asked for", memory_mb=0)
LENGTHS = (12, 7, 14, 9)
FRAMES = sum(LENGTHS)


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """These files are the tests' own: a child process that looks at each costs half the time."""
    monkeypatch.setattr("app.video.opening.first_look", lambda _path, _cancelled: None)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    """An empty library."""
    with Library.open(tmp_path / "library", ballast_bytes=0) as opened:
        yield opened


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """Four parts per container, made once."""
    root = tmp_path_factory.mktemp("made")
    return {s: four_parts(root / s[1:], s, LENGTHS) for s in (".ts", ".mp4")}


def stick(made: dict[str, list[Path]], suffix: str, to: Path) -> list[Path]:
    to.mkdir()
    return [Path(shutil.copy2(path, to)) for path in made[suffix]]


def check_labels(library: Library, case_id: str, labelled: dict[int, int]) -> Asset:
    """Every label lies on the frame it was drawn on, and every frame is there once."""
    (asset,) = library.case(case_id).assets
    stored = library.annotations(asset.asset_id, asset.start_pts, asset.end_pts)
    assert sorted(a.frame.pts for a in stored) == sorted(labelled)
    with open_recording(asset) as source:
        assert [number_of(f.rgb) for f in source.frames()] == list(range(len(source)))
        for annotation in stored:
            index = source.index_of(annotation.frame.pts)
            assert number_of(source.frame(index).rgb) == labelled[annotation.frame.pts]
    return asset


def test_a_folder_of_parts_is_one_case_and_known_again(
    library: Library, made: dict[str, list[Path]], tmp_path: Path
) -> None:
    files = stick(made, ".ts", tmp_path / "stick")
    before = [(p.read_bytes(), p.stat().st_mtime_ns) for p in files]
    case = case_of(library, files, joined=True)
    assert len(case.assets) == 1
    assert (case.assets[0].frames, len(case.assets[0].parts)) == (FRAMES, 4)
    assert case_of(library, files, joined=True).case_id == case.case_id
    assert case_of(library, files[:1]).case_id != case.case_id
    assert case_of(library, list(files)).case_id != case.case_id
    with pytest.raises(Refused, match="other recordings"):
        case_of(library, files[::-1], joined=True, case_id=case.case_id)
    complete_fingerprints(library, case)
    (asset,) = library.case(case.case_id).assets
    assert all(len(p.sha256) == len(p.pictures) == 64 for p in asset.parts)
    assert len({p.pictures for p in asset.parts}) == 4
    assert [(p.read_bytes(), p.stat().st_mtime_ns) for p in files] == before


def test_an_analysis_goes_on_over_the_joins(
    library: Library, made: dict[str, list[Path]], tmp_path: Path
) -> None:
    save_instruments(library.folder / "models")
    save_phases(library.folder / "models")
    cards = [find_model(name, library.folder) for name in ("tools", "phases")]

    def run(case: Case, cut: int | None = None) -> list[tuple[int, int]]:
        questions = iter(range(10**6))
        job = AnalysisJob(library, case, cards, device=CPU, threads=1)
        cancel = (
            (lambda: next(questions) >= cut + len(cards)) if cut is not None else (lambda: False)
        )
        return [(m.computed, m.resumed) for m in job.run(should_cancel=cancel).models]

    whole = make_clip(tmp_path / "whole.ts", replace(RECIPES["h264-ts"], frames=FRAMES))
    files = stick(made, ".mp4", tmp_path / "stick")
    joined, alone = case_of(library, files, joined=True), case_of(library, [whole])
    run(joined, 15)
    assert run(joined) == [(FRAMES - 15, 15), (1, 1)]
    run(alone)
    masks = []
    for case in (joined, alone):
        store = library.predictions(case.case_id)
        (asset,) = case.assets
        found = store.frames(store.runs()[0].run_id, asset.start_pts, asset.end_pts)
        assert [f.index for f in found] == list(range(FRAMES))
        masks.append([asset.time_ms(f.pts) for f in found])
    assert masks[0] == pytest.approx(masks[1])


@pytest.mark.parametrize("suffix", [".ts", ".mp4"])
def test_labels_survive_moving_and_renaming_parts(
    library: Library, made: dict[str, list[Path]], tmp_path: Path, suffix: str
) -> None:
    files = stick(made, suffix, tmp_path / "stick")
    case = case_of(library, files, joined=True)
    complete_fingerprints(library, case)
    labelled = label_every_fifth(library, case)
    archive = tmp_path / "archive" / "deep"
    archive.mkdir(parents=True)
    files[0].rename(archive / "whatever.bak" if suffix == ".none" else archive / f"zz{suffix}")
    files[2].rename(files[2].with_name(f"aa{suffix}"))
    assert {m.name for m in missing_files(library)} == {files[0].name, files[2].name}
    first = relink(library, [tmp_path / "stick"])
    assert ([f.missing.name for f in first.found], [m.name for m in first.missing]) == (
        [files[2].name],
        [files[0].name],
    )
    second = relink(library, [tmp_path / "archive"])
    assert (len(second.found), second.missing) == (1, ())
    asset = check_labels(library, case.case_id, labelled)
    assert asset.path == asset.parts[0].path == str(archive / f"zz{suffix}")
    assert asset.asset_id == case.assets[0].asset_id


@pytest.mark.parametrize(
    ("suffix", "to"),
    [(".ts", ".mp4"), (".ts", ".mkv"), (".mp4", ".ts"), (".mp4", ".mkv"), (".mp4", ".mov")],
)
def test_labels_survive_a_remux(
    library: Library, made: dict[str, list[Path]], tmp_path: Path, suffix: str, to: str
) -> None:
    files = stick(made, suffix, tmp_path / "stick")
    case = case_of(library, files, joined=True)
    complete_fingerprints(library, case)
    labelled = label_every_fifth(library, case)
    for path in (files[1], files[3]):
        remuxed(path, path.with_name(f"remuxed-{path.stem}{to}"))
        path.unlink()
    done = relink(library, [tmp_path / "stick"])
    assert [f.is_remuxed for f in done.found] == [True, True]
    asset = check_labels(library, case.case_id, labelled)
    assert {Path(p.path).suffix for p in asset.parts} == {suffix, to}
    complete_fingerprints(library, library.case(case.case_id))
    again = library.case(case.case_id).assets[0]
    assert [p.pictures for p in again.parts] == [p.pictures for p in asset.parts]
    assert case_of(library, [Path(p.path) for p in again.parts], joined=True).case_id == "0001"


def test_times_rounded_by_a_remux_are_those_of_the_recording(
    library: Library, tmp_path: Path
) -> None:
    """29.97 frames per second are 3003 units in a transport stream, 33 or 34 ms in Matroska."""
    recording = write_part(tmp_path / "a.ts", range(30), rate=av.rational.Fraction(30000, 1001))
    case = case_of(library, [recording])
    complete_fingerprints(library, case)
    labelled = label_every_fifth(library, case)
    original = recording.read_bytes()
    copy = remuxed(recording, tmp_path / "b.mkv")
    recording.unlink()
    assert relink(library, [tmp_path]).missing == ()
    asset = check_labels(library, case.case_id, labelled)
    assert asset.parts[0].follows_steps
    with open_recording(asset) as source:
        assert set(np.diff(source.index.pts).tolist()) == {3003}
        assert source.path == copy
        assert source.info.end_pts == asset.end_pts
    # The original comes back: it is a plain file again.
    recording.write_bytes(original)
    assert case_of(library, [recording]).case_id == case.case_id
    copy.unlink()
    assert relink(library, [tmp_path]).missing == ()
    asset = check_labels(library, case.case_id, labelled)
    assert (asset.path, asset.parts) == (str(recording), ())


@pytest.mark.parametrize(("order", "taken"), [((1, 0), 0), ((0, 1), 1), ((1, 1), None)])
def test_the_second_camera_of_a_file_is_found_wherever_a_remux_put_it(
    library: Library, tmp_path: Path, order: tuple[int, int], taken: int | None
) -> None:
    recording = tmp_path / "a.mp4"
    two_streams(recording)
    case = case_of(library, [recording], stream=1)
    complete_fingerprints(library, case)
    with av.open(str(tmp_path / "b.mkv"), "w") as out:
        sources = [av.open(str(recording)) for _ in order]
        pairs = [(s, s.streams.video[n]) for s, n in zip(sources, order, strict=True)]
        copies = [out.add_stream_from_template(stream) for _, stream in pairs]
        for (source, stream), copied in zip(pairs, copies, strict=True):
            for packet in source.demux(stream):
                if packet.dts is not None:
                    packet.stream = copied
                    out.mux(packet)
            source.close()
    recording.unlink()
    relink(library, [tmp_path])
    (asset,) = library.case(case.case_id).assets
    if taken is None:
        assert asset.path == str(recording)
        return
    assert (asset.path, asset.files[0].stream) == (str(tmp_path / "b.mkv"), taken)
    with open_recording(asset) as found:
        assert [number_of(f.rgb) for f in found.frames()] == list(range(1000, 1032))


def test_a_camera_that_ran_for_less_time_than_the_first_one_is_found(
    library: Library, tmp_path: Path
) -> None:
    parts = [write_part(tmp_path / "x.mp4", range(100)), write_part(tmp_path / "y.mp4", range(30))]
    recording, moved = tmp_path / "a.mp4", tmp_path / "b.mov"
    _beside_one_another(parts, recording)
    case = case_of(library, [recording], stream=1)
    assert case.assets[0].frames == 30
    complete_fingerprints(library, case)
    _beside_one_another(parts, moved)
    for path in (recording, *parts):
        path.unlink()
    relink(library, [tmp_path])
    (asset,) = library.case(case.case_id).assets
    assert (asset.path, asset.files[0].stream) == (str(moved), 1)


def _beside_one_another(files: Sequence[Path], path: Path) -> None:
    """One file with the pictures of several, each as a stream."""
    with av.open(str(path), "w") as out:
        sources = [av.open(str(file)) for file in files]
        copies = [out.add_stream_from_template(s.streams.video[0]) for s in sources]
        for source, copied in zip(sources, copies, strict=True):
            for packet in source.demux(video=0):
                if packet.dts is not None:
                    packet.stream = copied
                    out.mux(packet)
            source.close()


def test_what_is_another_recording_is_never_taken(library: Library, tmp_path: Path) -> None:
    recording = write_part(tmp_path / "a.mp4", range(40))
    case = case_of(library, [recording])
    complete_fingerprints(library, case)
    other = tmp_path / "other"
    other.mkdir()
    write_part(other / "a.mp4", range(3, 43))
    write_part(other / "longer.mp4", range(41))
    write_part(other / "again.mkv", range(40), codec="mpeg4")
    slower = other / "slower.mkv"
    with av.open(str(recording)) as source, av.open(str(slower), "w") as out:
        copied = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                step = packet.duration // 10
                late = packet.pts // packet.duration * step
                packet.pts, packet.dts = packet.pts + late, packet.dts + late - step * 4
                packet.stream = copied
                out.mux(packet)
    recording.rename(tmp_path / "hidden.mp4")
    done = relink(library, [other])
    assert (done.found, len(done.missing)) == ((), 1)
    assert library.case(case.case_id).assets[0].path == str(recording)


def test_the_same_pictures_at_other_times_are_named_and_not_taken(
    library: Library, tmp_path: Path
) -> None:
    recording = write_part(tmp_path / "a.mkv", range(40))
    case = case_of(library, [recording])
    complete_fingerprints(library, case)
    other = tmp_path / "other"
    other.mkdir()
    with av.open(str(recording)) as source, av.open(str(other / "b.mkv"), "w") as out:
        copied = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.pts, packet.dts = packet.pts * 102 // 100, None
                packet.stream = copied
                out.mux(packet)
    recording.unlink()
    done = relink(library, [other])
    assert done.found == ()
    assert "at other times" in done.notes[0]


def test_pictures_that_are_all_alike_tell_nothing(library: Library, tmp_path: Path) -> None:
    recording = motion_jpeg(tmp_path / "a.avi", [(320, 180)] * 20)
    case = case_of(library, [recording])
    complete_fingerprints(library, case)
    (asset,) = library.case(case.case_id).assets
    assert asset.pictures == "still"
    remuxed(recording, tmp_path / "b.mkv")
    recording.unlink()
    assert len(relink(library, [tmp_path]).missing) == 1


def test_a_file_that_differs_in_the_middle_is_told_by_its_full_hash(
    library: Library, tmp_path: Path
) -> None:
    recording = tmp_path / "a.mp4"
    write_part(recording, range(20))
    with recording.open("ab") as file:
        box = 3 << 20
        file.write(box.to_bytes(4, "big") + b"free" + bytes(box - 8))
    case = case_of(library, [recording])
    complete_fingerprints(library, case)
    data = bytearray(recording.read_bytes())
    recording.unlink()
    data[len(data) // 2] ^= 255
    (tmp_path / "moved.mp4").write_bytes(data)
    assert len(relink(library, [tmp_path / "moved.mp4"]).missing) == 1
    assert len(look_for(library, [tmp_path / "moved.mp4"], in_full=False).found) == 1


def test_places_that_are_not_there(library: Library, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no folder"):
        relink(library, [tmp_path / "nowhere"])
    assert relink(library, [tmp_path]).found == ()


VICTIM = """
import os, signal, sys
from pathlib import Path
from app.store import Library
from app.inference.new_case import case_of
from app.inference.relink import relink
from tests.helpers.parts import label_every_fifth
library = Library.open(Path(sys.argv[1]), ballast_bytes=0)
files = sorted(Path(sys.argv[2]).iterdir())
case = case_of(library, files, joined=True)
label_every_fifth(library, case)
files[3].rename(files[3].with_name("moved.mp4"))
assert len(relink(library, [Path(sys.argv[2])]).found) == 1
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_program_keeps_case_labels_and_places(
    made: dict[str, list[Path]], tmp_path: Path
) -> None:
    stick(made, ".mp4", tmp_path / "stick")
    ended = subprocess.run(
        [sys.executable, "-c", VICTIM, str(tmp_path / "library"), str(tmp_path / "stick")],
        check=False,
        timeout=60,
        cwd=Path(__file__).parents[2],
    )
    assert ended.returncode == -9
    with Library.open(tmp_path / "library", ballast_bytes=0) as library:
        (asset,) = library.case("0001").assets
        assert Path(asset.parts[3].path).name == "moved.mp4"
        with open_recording(asset) as source:
            labelled = {source.pts(i): i for i in range(0, FRAMES, 5)}
        check_labels(library, "0001", labelled)
