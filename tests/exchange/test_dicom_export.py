"""What leaves as DICOM is read back by pydicom, highdicom, dcmtk and Trocar itself."""

from __future__ import annotations

import errno
import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import av
import numpy as np
import pydicom
import pytest
from pydicom.encaps import generate_fragments

from app.analysis.case_clip import overlay_drawer
from app.core.errors import BadInput, EnvironmentProblem
from app.core.frame import FrameIdentity
from app.core.mask import Mask
from app.exchange.dicom_seg import export_dicom_seg
from app.exchange.dicom_video import export_dicom_video
from app.store import Library
from app.video import describe_asset, open_video
from app.video.dicom.stream import coding_of
from app.video.dicom.write import VideoHeader, uid_of, write_dicom_video
from tests.helpers import dicoms
from tests.helpers.clips import RECIPES, Recipe, make_clip, number_of
from tests.helpers.human_work import annotation, change, correction

HIGH = replace(
    RECIPES["h264-mp4"],
    options={"preset": "ultrafast", "crf": "20", "x264-params": "scenecut=0:8x8dct=1"},
)
PAL = replace(RECIPES["mpeg2-mpg"], width_px=720, height_px=576)
VFR = replace(HIGH, pts_steps=RECIPES["vfr-mp4"].pts_steps)

needs_dcmtk = pytest.mark.skipif(shutil.which("dcmdump") is None, reason="dcmtk is not installed")


@pytest.fixture
def case_of(own_library: Path) -> Callable[[Path], tuple[Library, str]]:
    """Makes a case of a recording in a library of the test's own."""
    opened: list[Library] = []

    def make(path: Path) -> tuple[Library, str]:
        library = Library.open(own_library, ballast_bytes=0)
        opened.append(library)
        asset = describe_asset(path, "asset-1")
        case = library.writer.create_case("A title", "cholecystectomy", (asset,)).result()
        return library, case.case_id

    yield make
    for library in opened:
        library.close()


@pytest.fixture(scope="session")
def high(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording that DICOM takes as it is."""
    return make_clip(tmp_path_factory.mktemp("dicom") / "a.mp4", HIGH)


def packets(path: Path) -> list[bytes]:
    """The video's packets, in decoding order."""
    with av.open(str(path)) as container:
        return [bytes(p) for p in container.demux(video=0) if p.size]


def payload(path: Path, out: Path) -> Path:
    """The stream that pydicom finds in a file, as a file."""
    ds = pydicom.dcmread(path)
    assert ds.PixelData[:8] == bytes.fromhex("feff00e000000000"), "an empty offset table"
    out.write_bytes(b"".join(list(generate_fragments(ds.PixelData))[1:]))
    return out


@pytest.mark.parametrize(
    ("recipe", "syntax"),
    [(HIGH, "102"), (VFR, "102"), (RECIPES["hevc-mp4"], "107"), (PAL, "100")],
    ids=["h264", "vfr", "hevc", "mpeg2"],
)
def test_the_packets_of_a_recording_are_copied_unaltered(
    case_of: Callable[[Path], tuple[Library, str]],
    tmp_path: Path,
    recipe: Recipe,
    syntax: str,
) -> None:
    path = make_clip(tmp_path / f"a{recipe.suffix}", recipe)
    library, case_id = case_of(path)
    done = export_dicom_video(library, case_id, tmp_path / "out")
    assert done.counts == {"recordings": 1, "frames": 60, "copied": 1}
    ds = pydicom.dcmread(done.path)
    assert ds.file_meta.TransferSyntaxUID == f"1.2.840.10008.1.2.4.{syntax}"
    assert ds.SOPClassUID.name == "Video Endoscopic Image Storage"
    assert (ds.NumberOfFrames, ds.Rows, ds.Columns) == (60, recipe.height_px, recipe.width_px)
    assert packets(payload(done.path, tmp_path / "payload")) == packets(path)
    with open_video(done.path, trusted=True) as source, open_video(path, trusted=True) as known:
        assert not any("header" in problem for problem in source.info.problems)
        assert [number_of(source.frame(i).rgb) for i in (59, 0, 31)] == [59, 0, 31]
        wanted = [known.time_ms(i) for i in range(60)]
        assert [source.time_ms(i) for i in range(60)] == pytest.approx(wanted, abs=0.6)


@needs_dcmtk
def test_dcmtk_finds_the_very_stream(
    case_of: Callable[[Path], tuple[Library, str]], tmp_path: Path, high: Path
) -> None:
    library, case_id = case_of(high)
    done = export_dicom_video(library, case_id, tmp_path / "out")
    test = subprocess.run(["dcmftest", str(done.path)], capture_output=True, text=True, check=True)
    assert test.stdout.startswith("yes")
    raw = tmp_path / "raw"
    raw.mkdir()
    dump = subprocess.run(
        ["dcmdump", "-q", "+W", str(raw), str(done.path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "VideoEndoscopicImageStorage" in dump.stdout
    assert "E:" not in dump.stderr
    pieces = sorted(raw.iterdir(), key=lambda p: int(p.name.split(".")[-2]))
    assert pieces[0].stat().st_size == 0
    assert (
        b"".join(p.read_bytes() for p in pieces)
        == payload(done.path, tmp_path / "payload").read_bytes()
    )


def test_nothing_of_the_recordings_own_header_goes_along(
    case_of: Callable[[Path], tuple[Library, str]], tmp_path: Path, high: Path
) -> None:
    clip = high
    given = dicoms.video(tmp_path / "MUSTER.dcm", clip.read_bytes(), 60)
    known = pydicom.dcmread(given)
    library, case_id = case_of(given)
    done = export_dicom_video(library, case_id, tmp_path / "out")
    ds = pydicom.dcmread(done.path)
    assert (ds.PatientName, ds.PatientID, ds.StudyDate) == ("", f"CASE-{case_id}", "")
    assert ds.PatientIdentityRemoved == "YES"
    assert ds.ImageComments.startswith("Research and education only.")
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
        assert ds[keyword].value.startswith("2.25.")
        assert ds[keyword].value != known[keyword].value
    words = done.path.read_bytes()
    for name in (b"MUSTER", b"ERIKA", b"4711", b"20240517", b"Tower"):
        assert name not in words
    assert packets(payload(done.path, tmp_path / "payload")) == packets(clip)
    again = export_dicom_video(library, case_id, tmp_path / "again")
    assert again.path.read_bytes() == words


TOO_HIGH = replace(HIGH, options={**HIGH.options, "x264-params": "8x8dct=1:level=5.2"})


@pytest.mark.parametrize(
    "recipe",
    [
        replace(RECIPES["rotated-mp4"], frames=20),
        pytest.param(replace(RECIPES["mpeg2-mpg"], frames=20), marks=pytest.mark.long),
        pytest.param(replace(RECIPES["mpeg4-avi-no-b"], frames=20), marks=pytest.mark.long),
        pytest.param(replace(TOO_HIGH, frames=20), marks=pytest.mark.long),
    ],
    ids=["turned", "no television", "mpeg4", "level"],
)
def test_what_dicom_does_not_take_is_encoded_anew(
    case_of: Callable[[Path], tuple[Library, str]], tmp_path: Path, recipe: Recipe
) -> None:
    library, case_id = case_of(make_clip(tmp_path / f"a{recipe.suffix}", recipe))
    done = export_dicom_video(library, case_id, tmp_path / "out")
    assert done.counts["copied"] == 0
    with open_video(done.path, trusted=True) as source:
        assert (source.info.codec, source.info.rotation_deg) == ("h264", 0)
        for frame in source.frames():
            upright = np.rot90(frame.rgb) if recipe.rotation_deg else frame.rgb
            assert number_of(upright) == frame.index
    ds = pydicom.dcmread(done.path)
    assert (ds.Rows, ds.Columns) == (source.info.height_px, source.info.width_px)


def test_stills_leave_as_video(
    case_of: Callable[[Path], tuple[Library, str]], tmp_path: Path
) -> None:
    dicoms.stills(tmp_path / "loop.dcm", "jpeg")
    library, case_id = case_of(tmp_path / "loop.dcm")
    done = export_dicom_video(library, case_id, tmp_path / "out")
    with open_video(done.path, trusted=True) as source:
        assert [number_of(f.rgb) for f in source.frames()] == list(range(6))


def test_a_stretch_with_outlines_has_its_frames_and_a_uid_of_its_own(
    case_of: Callable[[Path], tuple[Library, str]], tmp_path: Path, high: Path
) -> None:
    library, case_id = case_of(high)
    whole = export_dicom_video(library, case_id, tmp_path / "whole")
    done = export_dicom_video(
        library,
        case_id,
        tmp_path / "out",
        stretch_s=(0.4, 1.2),
        drawer=partial(overlay_drawer, library),
    )
    with open_video(done.path, trusted=True) as source:
        assert [number_of(f.rgb) for f in source.frames()] == list(range(10, 30))
    a, b = pydicom.dcmread(whole.path), pydicom.dcmread(done.path)
    assert a.SOPInstanceUID != b.SOPInstanceUID
    assert a.StudyInstanceUID == b.StudyInstanceUID
    assert b.NumberOfFrames == 20
    bare = export_dicom_video(library, case_id, tmp_path / "whole", stretch_s=(0.4, 1.2))
    assert bare.path.name == whole.path.name.replace(".dcm", "-frames-10-29.dcm")
    assert pydicom.dcmread(whole.path).NumberOfFrames == a.NumberOfFrames == 60
    with pytest.raises(BadInput, match="seconds long"):
        export_dicom_video(library, case_id, tmp_path / "late", stretch_s=(90, 95))


def test_a_stream_too_long_for_one_piece_is_fragmented(tmp_path: Path, high: Path) -> None:
    clip = high
    uid = uid_of("one")
    header = VideoHeader(
        instance_uid=uid,
        series_uid=uid_of("series"),
        study_uid=uid_of("study"),
        patient_id="CASE-1",
        study="Study",
        series="Series",
        step_ms=[40] * 60,
    )
    out = tmp_path / "a.dcm"
    write_dicom_video(clip, out, header, coding_of(clip, 60), most_item_bytes=10_000)
    ds = pydicom.dcmread(out)
    assert ds.file_meta.TransferSyntaxUID == dicoms.FRAGMENTABLE
    fragments = list(generate_fragments(ds.PixelData))
    assert len(fragments) == 1 + -(-clip.stat().st_size // 10_000)
    assert b"".join(fragments).startswith(clip.read_bytes())
    with open_video(out, trusted=True) as source:
        assert number_of(source.frame(44).rgb) == 44


@pytest.fixture
def masks() -> dict[tuple[int, str, int | None], np.ndarray]:
    """Masks by frame, class and track; some overlap."""
    rng = np.random.default_rng(5)
    made = {}
    for key in [(3, "grasper", 1), (3, "hook", 2), (3, "grasper", 7), (40, "grasper", 1)]:
        plane = np.zeros((180, 320), bool)
        y, x = rng.integers(0, 100, 2)
        plane[y : y + 70, x : x + 90] = rng.random((70, 90)) > 0.3
        made[key] = plane
    return made


def test_masks_come_back_from_dicom_seg_as_they_were(
    case_of: Callable[[Path], tuple[Library, str]],
    tmp_path: Path,
    high: Path,
    masks: dict[tuple[int, str, int | None], np.ndarray],
) -> None:
    from highdicom.seg import segread

    library, case_id = case_of(high)
    draw_all(library, case_id, masks)
    out = tmp_path / "out"
    video = export_dicom_video(library, case_id, out)
    done = export_dicom_seg(library, case_id, out)
    assert done.counts == {"files": 1, "frames": 2, "instances": 4}
    seg = segread(done.path)
    known = pydicom.dcmread(video.path)
    assert seg.segmentation_type.value == "BINARY"
    assert (seg.StudyInstanceUID, seg.PatientID) == (known.StudyInstanceUID, known.PatientID)
    got = {}
    for number in seg.segment_numbers:
        described = seg.get_segment_description(number)
        label, track = described.tracking_id.rsplit(" ", 1)
        assert described.segmented_property_type.scheme_designator == "99TROCAR"
        planes = seg.get_pixels_by_source_frame(
            known.SOPInstanceUID,
            [4, 41],
            segment_numbers=[number],
            assert_missing_frames_are_empty=True,
        )
        for frame, plane in zip((3, 40), planes[..., 0], strict=True):
            if plane.any():
                got[frame, label, int(track)] = plane.astype(bool)
    assert got.keys() == masks.keys()
    for key, plane in got.items():
        assert np.array_equal(plane, masks[key]), key


def test_many_masks_become_several_files(
    case_of: Callable[[Path], tuple[Library, str]],
    tmp_path: Path,
    high: Path,
    masks: dict[tuple[int, str, int | None], np.ndarray],
) -> None:
    library, case_id = case_of(high)
    with pytest.raises(BadInput, match="no corrected outlines"):
        export_dicom_seg(library, case_id, tmp_path / "none")
    draw_all(library, case_id, masks)
    done = export_dicom_seg(library, case_id, tmp_path / "out", most_bytes=320 * 180 * 3)
    assert done.counts["files"] == 2
    assert len(list((tmp_path / "out").glob("*.dcm"))) == 2


def test_corrected_masks_are_another_instance_and_a_failed_write_keeps_the_file(
    case_of: Callable[[Path], tuple[Library, str]],
    tmp_path: Path,
    high: Path,
    masks: dict[tuple[int, str, int | None], np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_ds: pydicom.Dataset, path: Path, **_: object) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    (key, plane), *_ = masks.items()
    library, case_id = case_of(high)
    draw_all(library, case_id, {key: plane})
    out = tmp_path / "out"
    path = export_dicom_seg(library, case_id, out).path
    first = pydicom.dcmread(path).SOPInstanceUID
    export_dicom_seg(library, case_id, out)
    assert pydicom.dcmread(path).SOPInstanceUID == first
    # Another outline in the same frame.
    draw_all(library, case_id, {(key[0], "hook", 2): plane})
    with monkeypatch.context() as patched:
        patched.setattr(pydicom.Dataset, "save_as", fail)
        with pytest.raises(EnvironmentProblem, match="cannot be written"):
            export_dicom_seg(library, case_id, out)
    assert pydicom.dcmread(path).SOPInstanceUID == first
    assert [p.name for p in out.glob("*seg*")] == [path.name]
    export_dicom_seg(library, case_id, out)
    assert pydicom.dcmread(path).SOPInstanceUID != first


@needs_dcmtk
def test_the_command_writes_both_and_dcmtk_reads_the_masks(
    case_of: Callable[[Path], tuple[Library, str]],
    tmp_path: Path,
    high: Path,
    masks: dict[tuple[int, str, int | None], np.ndarray],
    capsys: pytest.CaptureFixture[str],
) -> None:
    from app.cli.main import run

    library, case_id = case_of(high)
    draw_all(library, case_id, masks)
    library.close()
    for form in ("dicom-video", "dicom-seg"):
        out = str(tmp_path / form)
        assert run(["export", case_id, "--format", form, "--out", out, "--json"]) == 0
        said = json.loads(capsys.readouterr().out)
        dump = subprocess.run(
            ["dcmdump", "-q", said["path"]], capture_output=True, text=True, check=True
        )
        assert "E:" not in dump.stderr
        assert ("SegmentationStorage" in dump.stdout) == (form == "dicom-seg")


def draw_all(
    library: Library, case_id: str, masks: dict[tuple[int, str, int | None], np.ndarray]
) -> None:
    """Store masks as if they had been drawn."""
    asset = library.case(case_id).assets[0]
    step = (asset.end_pts - asset.start_pts) // asset.frames
    for (frame, label, track), plane in masks.items():
        drawn = replace(
            annotation(f"{frame}-{label}-{track}", label=label),
            frame=FrameIdentity(
                asset_id=asset.asset_id, stream=asset.stream, pts=asset.start_pts + frame * step
            ),
            mask=Mask.from_full(plane),
            track=track,
        )
        library.writer.commit(correction(case_id, "Draw", change(None, drawn))).result()


@pytest.mark.long
def test_what_is_too_large_for_h264_leaves_as_hevc(
    case_of: Callable[[Path], tuple[Library, str]], tmp_path: Path
) -> None:
    large = replace(HIGH, width_px=3840, height_px=2160, frames=3)
    library, case_id = case_of(make_clip(tmp_path / "a.mp4", large))
    done = export_dicom_video(library, case_id, tmp_path / "out")
    ds = pydicom.dcmread(done.path)
    assert ds.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.107"
    with open_video(done.path, trusted=True) as source:
        assert [number_of(f.rgb) for f in source.frames()] == [0, 1, 2]
