"""Labels into a library and out again: real files to the byte, corrections, all or nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from app.annotate.phases import Block, Tiers, relabel
from app.cli.main import run
from app.core.errors import BadInput, Refused
from app.core.taxonomy import find_taxonomy
from app.exchange.labels.library import (
    DoesNotFit,
    export_labels,
    import_by_name,
    import_cases,
    import_onto,
)
from app.store import Library
from tests.helpers.human_work import asset
from tests.store.conftest import open_small

# Of folders of real labels: how many operations, and files that are labels or name their classes.
REAL = {
    "cholec80_phase_txt": (10, 11),
    "cholect50": (3, 4),
    "multibypass140": (5, 7),
}
TABLES = {"loca_all": 743, "loca_challenge": 743, "loca_challenge_phase": 743, "surgery": 1969}


@pytest.fixture
def ten_seconds(tmp_path: Path) -> Path:
    """Phases of ten seconds, with a byte-order mark and ends of lines of two kinds."""
    file = tmp_path / "video07-phase.txt"
    names = ["preparation"] * 4 + ["CalotTriangleDissection"] * 6
    file.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(names).encode() + b"\n")
    return file


def to_the_byte(library: Library, given: Path, out: Path) -> tuple[int, int]:
    """Import, export, compare; how many operations and files."""
    done = import_cases(library, [given])
    ids = [case.case_id for case in done.cases]
    files = export_labels(library, ids, out).counts["files"]
    for written in out.rglob("*.*"):
        originals = list(given.rglob(written.name)) if given.is_dir() else [given]
        assert [p.read_bytes() for p in originals] == [written.read_bytes()]
    return len(ids), files


@pytest.mark.parametrize("name", REAL)
def test_real_labels_come_in_and_go_out_to_the_byte(
    name: str, shared_data: Path, own_library: Path, tmp_path: Path
) -> None:
    with open_small(own_library) as library:
        assert to_the_byte(library, shared_data / name, tmp_path / "out") == REAL[name]
        assert import_cases(library, [shared_data / name]).known == REAL[name][0]
        assert library.verify().ok


@pytest.mark.parametrize("table", TABLES)
def test_forty_videos_of_a_real_table(
    table: str, shared_data: Path, own_library: Path, tmp_path: Path
) -> None:
    head, *rows = (shared_data / "ophnet" / f"OphNet2024_{table}.csv").read_bytes().splitlines(True)
    names = list(dict.fromkeys(row.split(b",")[0] for row in rows))[:40]
    part = tmp_path / f"{table}.csv"
    part.write_bytes(head + b"".join(row for row in rows if row.split(b",")[0] in names))
    with open_small(own_library) as library:
        assert to_the_byte(library, part, tmp_path / "out") == (40, 1)


@pytest.mark.long
@pytest.mark.parametrize("table", TABLES)
def test_a_whole_real_table(
    table: str, shared_data: Path, own_library: Path, tmp_path: Path
) -> None:
    file = shared_data / "ophnet" / f"OphNet2024_{table}.csv"
    with open_small(own_library) as library:
        assert to_the_byte(library, file, tmp_path / "out") == (TABLES[table], 1)
        assert library.verify().ok


def test_a_corrected_phase_changes_its_own_lines_alone(
    ten_seconds: Path, own_library: Path, tmp_path: Path
) -> None:
    with open_small(own_library) as library:
        (case,) = import_cases(library, [ten_seconds]).cases
        assert case.title == "Cholec80 video07"
        (recording,) = case.assets
        assert not recording.has_recording
        assert recording.duration_ms == 10_000
        said = library.human_timeline(recording.asset_id)
        assert said is not None
        tiers = Tiers(
            case_id=case.case_id,
            asset_id=recording.asset_id,
            taxonomy=find_taxonomy(case.procedure),
            you=said.timeline,
            model=None,
            start_pts=0,
            end_pts=10,
        )
        change = relabel(tiers, Block(row="you", index=1), "clipping_cutting")
        assert change is not None
        library.writer.commit(change).result()
        export_labels(library, [case.case_id], tmp_path / "out")
        changed = (tmp_path / "out" / ten_seconds.name).read_bytes()
        was = ten_seconds.read_bytes()
        assert changed == was.replace(b"CalotTriangleDissection", b"ClippingCutting")
        library.writer.undo(case.case_id).result()
        export_labels(library, [case.case_id], tmp_path / "out")
        assert (tmp_path / "out" / ten_seconds.name).read_bytes() == was


def test_a_bad_line_anywhere_and_nothing_is_imported(ten_seconds: Path, own_library: Path) -> None:
    bad = ten_seconds.with_name("video08-phase.txt")
    bad.write_text("preparation\nsomething\n", encoding="utf-8")
    with open_small(own_library) as library:
        with pytest.raises(BadInput, match=r"video08-phase\.txt, line 2.*Nothing was imported"):
            import_cases(library, [ten_seconds.parent])
        assert library.cases() == ()


def test_a_deleted_case_can_be_imported_again(ten_seconds: Path, own_library: Path) -> None:
    with open_small(own_library) as library:
        (case,) = import_cases(library, [ten_seconds]).cases
        library.writer.delete_case(case.case_id).result()
        assert len(import_cases(library, [ten_seconds]).cases) == 1
        assert library.verify().ok


def test_labels_for_a_recording_are_placed_by_time(
    ten_seconds: Path, own_library: Path, tmp_path: Path
) -> None:
    """Of 4 s at 25 frames a second, though the labels stand one a second."""
    short = tmp_path / "short" / ten_seconds.name
    short.parent.mkdir()
    short.write_text("preparation\n" * 2 + "clippingcutting\n" * 3, encoding="utf-8")
    with open_small(own_library) as library:
        case = library.writer.create_case("Recording", "unknown", (asset(),)).result()
        with pytest.raises(BadInput, match=r"up to 10\.0 s.*ends at 4\.0 s"):
            import_onto(library, case.case_id, [ten_seconds])
        assert library.label_files(case.case_id) == ()
        (case,) = import_onto(library, case.case_id, [short]).cases
        assert case.procedure == "cholecystectomy"
        said = library.human_timeline("asset-1")
        assert said is not None
        assert [(s.start_pts, s.end_pts) for s in said.timeline.segments] == [
            (0, 50 * 512),
            (50 * 512, 100 * 512),
        ]
        with pytest.raises(Refused, match="phases by a human already"):
            import_onto(library, case.case_id, [short])
        export_labels(library, [case.case_id], tmp_path / "out")
        assert (tmp_path / "out" / short.name).read_bytes() == short.read_bytes()
        assert library.undo_title(case.case_id) == "Import the phases"


def frames(file: Path, count: int) -> Path:
    rows = "".join(f"{n}\tPreparation\n" for n in range(count))
    file.write_text("Frame\tPhase\n" + rows, encoding="utf-8")
    return file


def seconds(file: Path, count: int) -> Path:
    file.write_text("preparation\n" * count, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("rows", "count", "recording_frames", "words"),
    [
        (seconds, 100, 100, "up to 100.0 s.*ends at 4.0 s.*25 labels a second and not 1"),
        (frames, 10, 250, "up to 0.4 s.*ends at 10.0 s.*1 label a second and not 25"),
        (frames, 300, 253, "up to 12.0 s.*ends at 10.1 s.*30 labels a second and not 25"),
        (frames, 300, 250, "30 labels a second and not 25"),
        (frames, 24 * 120, 25 * 120, "up to 115.2 s.*24 labels a second and not 25"),
        (frames, 25 * 13, 250, "up to 13.0 s.*ends at 10.0 s; is it another one"),
    ],
)
def test_labels_at_another_rate_are_refused_and_the_rate_is_named(
    rows: Callable[[Path, int], Path], count: int, recording_frames: int, words: str,
    tmp_path: Path, own_library: Path,
) -> None:  # fmt: skip
    file = rows(tmp_path / "video01-phase.txt", count)
    with open_small(own_library) as library:
        recording = replace(asset(), end_pts=512 * recording_frames, frames=recording_frames)
        case = library.writer.create_case("Recording", "unknown", (recording,)).result()
        with pytest.raises(DoesNotFit, match=words):
            import_onto(library, case.case_id, [file])
        assert library.label_files(case.case_id) == ()
        assert library.human_timeline(recording.asset_id) is None
    to = ["--to", case.case_id, "--library", str(own_library)]
    assert run(["import", str(file), *to]) == 1
    assert run(["import", str(file), *to, "--by-name"]) == 1
    assert run(["import", str(file), *to, "--anyway"]) == 0
    with open_small(own_library) as library:
        said = library.human_timeline(recording.asset_id)
        assert said is not None
        assert said.timeline.segments[-1].end_pts <= recording.end_pts


def test_by_name_all_is_laid_on_or_nothing(tmp_path: Path, own_library: Path) -> None:
    recordings = []
    with open_small(own_library) as library:
        for n in (1, 2):
            recordings.append(asset(f"a{n}", str(tmp_path / f"Video0{n}.mp4")))
            library.writer.create_case("Recording", "unknown", (recordings[-1],)).result()
    files = [frames(tmp_path / f"video0{n}-phase.txt", count) for n, count in ((1, 100), (2, 900))]
    there = ["--by-name", "--library", str(own_library)]
    assert run(["import", str(tmp_path), *there]) == 1
    with open_small(own_library) as library:
        assert all(library.human_timeline(r.asset_id) is None for r in recordings)
    frames(files[1], 100)
    assert run(["import", str(tmp_path), *there]) == 0
    with open_small(own_library) as library:
        assert all(library.human_timeline(r.asset_id) is not None for r in recordings)
        assert import_by_name(library, [tmp_path]).known == 2
        twice = asset("a3", str(tmp_path / "again" / "video01.mp4"))
        library.writer.create_case("Recording", "unknown", (twice,)).result()
        with pytest.raises(BadInput, match="all called video01"):
            import_by_name(library, [tmp_path])


@pytest.mark.parametrize(
    ("count", "notes"),
    [
        (100, ()),
        (99, ()),
        (120, ("The labels go on 0.8 s after the recording; that was cut.",)),
        (40, ("The last 2 s of the recording have no labels.",)),
    ],
)
def test_where_labels_end_off_the_recording_is_said(
    count: int, notes: tuple[str, ...], tmp_path: Path, own_library: Path
) -> None:
    file = frames(tmp_path / "video01-phase.txt", count)
    with open_small(own_library) as library:
        case = library.writer.create_case("Recording", "unknown", (asset(),)).result()
        assert import_onto(library, case.case_id, [file]).notes == notes


def test_a_library_for_reading_takes_nothing(ten_seconds: Path, own_library: Path) -> None:
    with open_small(own_library):
        pass
    with Library.open(own_library, "read") as library, pytest.raises(Refused):
        import_cases(library, [ten_seconds])
