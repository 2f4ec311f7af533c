"""Which DICOM files of a folder or a DICOMDIR are recordings, and what their headers tell."""

from __future__ import annotations

import gc
import re
import shutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from pydicom.fileset import FileSet
from pydicom.uid import generate_uid

from app.core.errors import BadInput, Refused
from app.inference.new_case import case_of
from app.store import Library
from app.video import find_recordings, first_look, open_recording, probe
from app.video.dicom import folder
from app.video.dicom.facts import facts_of
from app.video.dicom.folder import glance_at, is_dicomdir
from app.video.dicom.survey import recordings_among, recordings_of
from app.video.split.joining import describe_joined, one_recording
from app.video.split.recorders import video_files
from tests.helpers import dicoms
from tests.helpers.clips import number_of


@pytest.fixture
def disc(clip: Callable[[str], Path], tmp_path: Path) -> Path:
    """A disc with a DICOMDIR: two videos of a series, ten minutes apart, a still and a loop."""
    made = tmp_path / "made"
    made.mkdir()
    series = generate_uid()
    for number, time in enumerate(("101500", "102500"), start=1):
        path = dicoms.video(made / f"v{number}.dcm", clip("h264-mp4").read_bytes(), 60)
        change(path, series, number, time)
    dicoms.stills(made / "loop.dcm", "rle")
    dicoms.stills(made / "still.dcm", "rgb", frames=1)
    for name in ("loop.dcm", "still.dcm"):
        change(made / name, generate_uid(), 1, "090000")
    out = tmp_path / "disc"
    with warnings.catch_warnings():
        # pydicom leaves it to the garbage collector to tidy up.
        warnings.simplefilter("ignore", ResourceWarning)
        files = FileSet()
        for path in sorted(made.iterdir()):
            files.add(path)
        files.write(out)
        del files
        gc.collect()
    shutil.rmtree(made)
    return out


def change(path: Path, series: str, number: int, time: str) -> None:
    """Say where a file belongs."""
    ds = pydicom.dcmread(path)
    ds.SeriesInstanceUID, ds.InstanceNumber, ds.SeriesNumber = series, number, 1
    ds.StudyTime, ds.StudyID, ds.AccessionNumber = "090000", "1", ""
    ds.AcquisitionDateTime = f"20240517{time}"
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    ds.save_as(path)


def test_a_disc_lists_its_recordings_and_a_series_is_one(disc: Path) -> None:
    index = disc / "DICOMDIR"
    assert is_dicomdir(index)
    assert len(recordings_of(index)) == 3
    for named in (disc, index):
        found = find_recordings([named])
        assert sorted(len(r.files) for r in found.recordings) == [1, 2]
        assert found.left_out == ()
        two = next(r for r in found.recordings if len(r.files) == 2)
        assert two.gaps_ms[1] == pytest.approx(600_000 - 2_400)
    asset = describe_joined([f.path for f in two.files], "one")
    with open_recording(asset) as source:
        assert len(source) == 120
        assert [number_of(source.frame(n).rgb) for n in (59, 60, 119)] == [59, 0, 59]


def test_a_dicomdir_leads_nowhere_else(disc: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.dcm"
    dicoms.stills(outside, "rle")
    ds = pydicom.dcmread(disc / "DICOMDIR")
    images = [r for r in ds.DirectoryRecordSequence if r.DirectoryRecordType == "IMAGE"]
    for record in images:
        record.ReferencedFileID = ["..", "outside.dcm"]
    ds.save_as(disc / "DICOMDIR")
    with pytest.raises(BadInput, match="names no recording that is there"):
        recordings_of(disc / "DICOMDIR")


def test_no_header_is_read_here_before_a_child_has_seen_it(
    disc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here: list[Path] = []

    def read(path: Path) -> None:
        here.append(path)
        raise BadInput(f"{path.name} was read in this process.")

    monkeypatch.setattr(folder, "read_dicom", read)
    monkeypatch.setattr(folder, "pydicom_reader", lambda: pytest.fail("a DICOMDIR was read here"))
    videos = video_files(disc)
    assert len(videos) == 3
    assert set(recordings_of(disc / "DICOMDIR")) == set(videos)
    assert not here


def test_what_ends_the_child_is_left_to_its_own_first_look(
    disc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [p for p in sorted(disc.rglob("*")) if p.is_file() and p.name != "DICOMDIR"]
    known = recordings_among(paths)
    assert len(paths) == 4
    (still,) = set(paths) - known
    still.write_bytes(still.read_bytes()[:400])
    assert recordings_among(paths) == set(paths)
    monkeypatch.setattr(
        first_look, "_child_command", lambda: [sys.executable, "-c", "import os; os.abort()"]
    )
    assert recordings_among(paths[:2]) == set(paths[:2])


def test_one_damaged_file_is_left_out_and_named(disc: Path) -> None:
    good = min(p for p in disc.rglob("*") if p.is_file() and p.stat().st_size > 100_000)
    damaged = disc / "damaged.dcm"
    damaged.write_bytes(good.read_bytes()[:400])
    # In a folder it is not passed over.
    assert {damaged, good} <= set(video_files(disc))
    found = find_recordings([damaged, good])
    assert [[f.path for f in r.files] for r in found.recordings] == [[good]]
    assert [name for name, _ in found.left_out] == ["damaged.dcm"]
    assert "damaged.dcm" in found.left_out[0][1]
    with pytest.raises(Refused, match=r"damaged\.dcm"):
        one_recording([damaged, good])


def test_a_dicomdir_is_not_a_recording(disc: Path) -> None:
    with pytest.raises(BadInput, match="holds no pictures"):
        probe(disc / "DICOMDIR")


PERSONAL = {
    "PatientName": "MUSTERFRAU^ERIKA", "PatientID": "PID4711815", "PatientBirthDate": "19500517",
    "PatientAddress": "Heidestrasse 17 Koeln", "AccessionNumber": "ACC99887766",
    "ReferringPhysicianName": "Hausarzt^Heinz", "InstitutionName": "Klinikum Nordhausen",
    "OtherPatientIDs": "KVNR123456789", "PatientComments": "allergisch gegen Penicillin",
    "StudyID": "STU555666", "StudyDate": "20240517", "AcquisitionDate": "20240517",
    "StudyDescription": "Cholecystectomy of Erika Musterfrau, born 17.05.1950",
    "SeriesDescription": "Fallnummer 77001122",
    "PerformedProcedureStepDescription": "Oberarzt Grabowski operiert",
    "ImageComments": "Befund siehe Brief an Heinz Hausarzt", "OperatorsName": "Grabowski^Greta",
}  # fmt: skip


def test_a_case_is_called_by_procedure_and_device_alone(tmp_path: Path, own_library: Path) -> None:
    path = tmp_path / "loop.dcm"
    dicoms.stills(path, "rle")
    with Library.open(own_library, ballast_bytes=0) as library:
        case = case_of(library, [path])
        assert case.title == "Laparoscopic cholecystectomy, Maker Tower 4"
        assert case.procedure == "cholecystectomy"
        assert case_of(library, [path], title="Other").title == case.title
    assert facts_of(Path(__file__)) is None


@pytest.mark.parametrize(
    ("model", "shown"),
    [
        ("Tower 4", "Maker Tower 4"),
        ("Erika's tower", "Maker"),
        ("Tower 19500517", "Maker"),
        ("Tower 17.5.1950", "Maker"),
        ("Turm Nordhausen", "Maker"),
        ("Tower; seen by whom?", "Maker"),
        ("MAKER Tower", "MAKER Tower"),
        ("Maker", "Maker"),
    ],
)
def test_a_device_that_looks_like_anything_else_is_not_named(
    tmp_path: Path, model: str, shown: str
) -> None:
    path = tmp_path / "loop.dcm"
    dicoms.stills(path, "rle", frames=2)
    ds = pydicom.dcmread(path)
    for keyword, value in PERSONAL.items():
        setattr(ds, keyword, value)
    ds.ManufacturerModelName = model
    ds.save_as(path)
    facts = facts_of(path)
    assert facts is not None
    assert facts.device == shown


def test_nothing_of_a_person_in_a_header_gets_into_the_library(
    tmp_path: Path, own_library: Path
) -> None:
    path = tmp_path / "loop.dcm"
    dicoms.stills(path, "rle")
    ds = pydicom.dcmread(path)
    for keyword, value in PERSONAL.items():
        setattr(ds, keyword, value)
    ds.save_as(path)
    with Library.open(own_library, ballast_bytes=0) as library:
        case = case_of(library, [path])
        assert (case.title, case.procedure) == (
            "Laparoscopic cholecystectomy, Maker Tower 4",
            "cholecystectomy",
        )
        library.back_up()
    stored = b"".join(p.read_bytes() for p in own_library.rglob("*") if p.is_file()).lower()
    assert b"tower 4" in stored
    kept = [*_WORDS.findall(" ".join(PERSONAL.values())), "17.05.1950", "1950-05-17", "2024-05-17"]
    found = [w for w in kept if w.lower().encode() in stored and w != "Cholecystectomy"]
    assert found == []


_WORDS = re.compile(r"[A-Za-z0-9]{5,}")


@pytest.mark.parametrize("kind", ["h264-mp4", "h264-ts"])
def test_a_recording_is_as_long_as_its_stream_says(
    clip: Callable[[str], Path], tmp_path: Path, kind: str
) -> None:
    path = dicoms.video(tmp_path / "v.dcm", clip(kind).read_bytes(), 9999)
    assert glance_at(path).duration_s == pytest.approx(60 / 25, abs=0.05)
