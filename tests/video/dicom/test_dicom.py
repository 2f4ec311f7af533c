"""DICOM recordings: real files, files made here of every kind, and files that are broken."""

from __future__ import annotations

import contextlib
import io
import json
import random
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames
from pydicom.pixels import pixel_array
from pydicom.uid import ImplicitVRLittleEndian

from app.core.errors import BadInput, EnvironmentProblem
from app.video import Player, describe_asset, open_recording, open_video, probe
from app.video.container import open_payload, read_packets
from app.video.decoder import UndecodableFrame
from app.video.dicom import bounds
from app.video.dicom.bounds import quiet
from app.video.dicom.file import is_dicom, read_dicom
from app.video.dicom.payload import raw_payload
from app.video.dicom.stills import StillsSource
from app.video.dicom.times import frame_ticks
from tests.helpers import dicoms
from tests.helpers.clips import number_of

CORRECT = {
    "h264_hp41_es_annexb.dcm": ("h264", "dicom/h264", 200),
    "h264_hp41_es_mp4.dcm": ("h264", "dicom/mp4", 200),
    "h264_hp41_es_ts_bd.dcm": ("h264", "dicom/mpegts", 200),
    "h264_hp41_fragmentable_7frag.dcm": ("h264", "dicom/mp4", 200),
    "h264_wrong_frame_count.dcm": ("h264", "dicom/mp4", 200),
    "hevc_main51_es_mp4.dcm": ("hevc", "dicom/mp4", 200),
    "mpeg2_mphl_es_raw.dcm": ("mpeg2video", "dicom/mpegvideo", 200),
    "mpeg2_mphl_es_ts.dcm": ("mpeg2video", "dicom/mpegts", 200),
    "mpeg2_mpml_dcm4che_sample.dcm": ("mpeg2video", "dicom/mpeg", 78),
}


@pytest.mark.parametrize("name", CORRECT)
def test_a_real_file_plays_and_a_seek_shows_what_playing_shows(
    shared_data: Path, name: str
) -> None:
    path = shared_data / "dicom_video" / name
    with (
        open_video(path, trusted="_es_" not in name) as source,
        open_payload(raw_payload(read_dicom(path))) as truth,
    ):
        codec, container, frames = CORRECT[name]
        assert (source.info.codec, source.info.container) == (codec, container)
        assert len(source) == frames
        chosen = {0, frames // 3, *random.Random(7).sample(range(frames // 3), 3)}
        played = zip(range(max(chosen) + 1), truth.decode(video=0), strict=False)
        wanted = {n: luma(picture) for n, picture in played if n in chosen}
        for index in sorted(chosen, key=lambda n: (n * 7919) % 211):
            source._decoder.cache.clear()
            assert np.array_equal(luma(source._decoder.picture(index)), wanted[index]), index
        assert source.frame(0).rgb.shape == (source.info.height_px, source.info.width_px, 3)


def luma(picture: av.VideoFrame) -> np.ndarray:
    return picture.to_ndarray(format="gray")


def test_a_wrong_frame_count_is_named_and_a_cut_file_is_answered(shared_data: Path) -> None:
    folder = shared_data / "dicom_video"
    assert probe(folder / "h264_wrong_frame_count.dcm").problems == (
        "The header promises 9999 frames; the video holds 200.",
    )
    with pytest.raises(BadInput, match="is cut off: 59 % of its video is there"):
        open_video(folder / "h264_truncated.dcm")


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.parametrize("kind", ["bare stream", "stills"])
def test_the_first_look_is_small_and_quick(shared_data: Path, tmp_path: Path, kind: str) -> None:
    path = shared_data / "dicom_video" / "mpeg2_mphl_es_raw.dcm"
    if kind == "stills":
        path = tmp_path / "loop.dcm"
        dicoms.stills(path, "jpeg2000")
    code = (
        "import sys; from app.video.probe_child import main; main(sys.argv[1]);"
        "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
    )
    answer, peak_kb = done.stdout.splitlines()
    assert json.loads(answer)["problem"] is None
    assert int(peak_kb) < 512 * 1024


@pytest.mark.parametrize("kind", dicoms.STILLS)
def test_stills_of_every_kind_are_a_video(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "loop.dcm"
    shown = dicoms.stills(path, kind)
    with open_video(path, trusted=True) as source:
        assert isinstance(source, StillsSource)
        assert len(source) == len(shown)
        assert not [p for p in source.info.problems if "header" in p or "cut off" in p]
        assert [source.time_ms(n) for n in range(3)] == [0, 40, 80]
        for index in (5, 0, 3):
            rgb = source.frame(index).rgb
            if kind in dicoms.EXACT:
                assert np.array_equal(rgb, shown[index])
            else:
                far = np.abs(rgb.astype(int) - shown[index])
                assert far.mean() < 6
            assert kind == "palette" or kind == "mono1" or number_of(rgb) == index


@pytest.mark.skipif(shutil.which("dcmcjpeg") is None, reason="dcmtk is not installed")
def test_jpeg_lossless_stills_are_exact(tmp_path: Path) -> None:
    shown = dicoms.stills(tmp_path / "plain.dcm", "rgb")
    path = dicoms.jpeg_lossless(tmp_path / "plain.dcm", tmp_path / "loop.dcm")
    with open_video(path) as source:
        assert source.info.codec == "jpeg-lossless"
        for index in (5, 0):
            assert np.array_equal(source.frame(index).rgb, shown[index])


def test_stills_play_and_are_found_again(tmp_path: Path) -> None:
    path = tmp_path / "loop.dcm"
    dicoms.stills(path, "jpeg")
    asset = describe_asset(path, "one")
    assert (asset.frames, asset.codec) == (6, "jpeg")
    with open_recording(asset) as source:
        assert [number_of(f.rgb) for f in source.frames()] == list(range(6))
    seen: list[int] = []
    player = Player(on_frame=lambda shown: seen.append(number_of(shown.frame.rgb)))
    try:
        player.open(path)
        wait_for(lambda: seen == [0])
        player.seek_index(4)
        wait_for(lambda: 4 in seen)
    finally:
        player.close()


def wait_for(condition: Callable[[], bool]) -> None:
    """Until it is true; ten seconds at most."""
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_stills_are_decoded_one_at_a_time_within_their_room(tmp_path: Path) -> None:
    path = tmp_path / "loop.dcm"
    shown = dicoms.stills(path, "rgb", frames=12)
    with StillsSource(read_dicom(path), cache_bytes=3 * shown[0].nbytes) as source:
        for index in (0, 4, 8, 11, 2):
            source.frame(index)
            assert source.cached_bytes <= 3 * shown[0].nbytes
        assert source.holds(2)
        assert not source.holds(0)


def test_half_a_file_of_stills_plays_the_frames_that_are_there(tmp_path: Path) -> None:
    whole, half = tmp_path / "whole.dcm", tmp_path / "half.dcm"
    dicoms.stills(whole, "rle", frames=10)
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with open_video(half) as source:
        assert 3 <= len(source) <= 6
        assert any("promises 10 frames" in p for p in source.info.problems)
        assert number_of(source.frame(2).rgb) == 2
        with pytest.raises(UndecodableFrame):
            source.frame(len(source) - 1)


def test_a_deflated_file_is_bounded_and_plays_as_far_as_it_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "loop.dcm"
    shown = dicoms.stills(path, "deflated", frames=8)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with open_video(path) as source:
        assert 1 <= len(source) < len(shown)
        assert any("promises 8 frames" in p for p in source.info.problems)
        assert np.array_equal(source.frame(0).rgb, shown[0])
    path.write_bytes(data[:-200] + bytes(200))
    with contextlib.suppress(BadInput):
        open_video(path, trusted=True).close()
    path.write_bytes(data)
    monkeypatch.setattr(bounds, "_MOST_INFLATED_BYTES", 1 << 20)
    monkeypatch.setattr(bounds, "_CHUNK_BYTES", 1 << 16)
    with pytest.raises(BadInput, match="deflated DICOM file of more than 1 MB"):
        open_video(path, trusted=True)


@pytest.mark.parametrize(
    ("syntax", "words"),
    [
        ("1.2.840.10008.1.2.4.51", "pictures of 12 bits coded as JPEG Extended"),
        ("1.2.840.10008.1.2.4.57", "pictures of 12 bits coded as JPEG Lossless"),
        ("1.2.840.10008.1.2.4.201", "pictures of 12 bits coded as High-Throughput JPEG 2000"),
    ],
)
def test_what_cannot_be_decoded_is_not_called_damaged(
    tmp_path: Path, syntax: str, words: str
) -> None:
    path = tmp_path / "loop.dcm"
    dicoms.stills(path, "mono12", frames=2)
    ds = dicoms.read(path)
    ds.file_meta.TransferSyntaxUID = syntax
    ds.PixelData = encapsulate([b"\xff\xd8 code", b"\xff\xd8 code"])
    ds["PixelData"].is_undefined_length = True
    ds.save_as(path)
    with pytest.raises(BadInput, match=f"{words}.* not supported; export it as video"):
        open_video(path, trusted=True)


def test_a_still_whose_code_claims_another_size_is_not_decoded(tmp_path: Path) -> None:
    path = tmp_path / "bomb.dcm"
    dicoms.stills(path, "jpeg", frames=2)
    data = bytearray(path.read_bytes())
    for at in range(len(data) - 9):
        if data[at : at + 2] == b"\xff\xc0":
            data[at + 5 : at + 9] = b"\xff\xf0\xff\xf0"
    path.write_bytes(data)
    with pytest.raises(BadInput, match="none of its first pictures can be decoded"):
        open_video(path)


def test_times_come_from_what_the_header_points_at(tmp_path: Path) -> None:
    path = tmp_path / "loop.dcm"
    dicoms.stills(path, "mono", frames=4)
    ds = dicoms.read(path)
    ds.FrameTimeVector, ds.FrameIncrementPointer = [0, 10, 20, 40], 0x00181065
    ds.save_as(path)
    assert frame_ticks(read_dicom(path), 4) == [0, 900, 2700, 6300, 9900]
    del ds.FrameTimeVector, ds.FrameTime, ds.FrameIncrementPointer
    ds.CineRate = 50
    ds.save_as(path)
    assert frame_ticks(read_dicom(path), 2) == [0, 1800, 3600]
    del ds.CineRate
    ds.save_as(path)
    assert any("does not say how fast" in p for p in probe(path).problems)


@pytest.mark.parametrize(
    ("recipe", "fragments"),
    [("h264-mp4", 5), ("h264-ts", 1), ("mpeg2-mpg", 5), ("hevc-mp4", 1), ("vfr-mp4", 1)],
)
def test_made_videos_play_exactly(
    clip: Callable[[str], Path], tmp_path: Path, recipe: str, fragments: int
) -> None:
    plain = clip(recipe)
    syntax = dicoms.H264 if fragments == 1 else dicoms.FRAGMENTABLE
    path = dicoms.video(
        tmp_path / "a.dcm", plain.read_bytes(), 60, fragments=fragments, syntax=syntax
    )
    with open_video(path, trusted=True) as source, open_video(plain, trusted=True) as known:
        assert [source.pts(n) for n in range(60)] == [known.pts(n) for n in range(60)]
        assert not [p for p in source.info.problems if "header" in p or "cut off" in p]
        for index in (59, 3, 31, 30, 14, 15):
            assert number_of(source.frame(index).rgb) == index


@pytest.mark.parametrize("recipe", ["h264-open-gop-mp4", "h264-mp4-no-b", "hevc-mp4", "mpeg2-mpg"])
def test_a_bare_stream_is_sought_in_exactly_and_timed_by_the_header(
    clip: Callable[[str], Path], tmp_path: Path, recipe: str
) -> None:
    path = dicoms.video(
        tmp_path / "a.dcm",
        elementary(clip(recipe)),
        60,
        syntax="1.2.840.10008.1.2.4." + {"hevc": "107", "mpeg": "101"}.get(recipe[:4], "102"),
        fragments=3,
    )
    with open_video(path, trusted=True) as source:
        assert [source.pts(n) for n in range(60)] == [3600 * n for n in range(60)]
        assert not [p for p in source.info.problems if "header" in p or "cut off" in p]
        for index in (59, 3, 31, 30, 14, 15, 0, 44, 45, 46):
            assert number_of(source.frame(index).rgb) == index


def elementary(path: Path) -> bytes:
    """The packets of a clip's video with start codes, without a container."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        name = {"h264": "h264_mp4toannexb", "hevc": "hevc_mp4toannexb"}.get(stream.codec.name)
        packets = [p for p in container.demux(stream) if p.size]
        if name is None or container.format.name == "mpegts":
            return b"".join(bytes(p) for p in packets)
        with_codes = av.bitstream.BitStreamFilterContext(name, in_stream=stream)
        out = io.BytesIO()
        for packet in packets:
            for done in with_codes.filter(packet):
                out.write(bytes(done))
        return out.getvalue()


def test_video_of_defined_length_plays(clip: Callable[[str], Path], tmp_path: Path) -> None:
    path = dicoms.video(tmp_path / "a.dcm", clip("h264-mp4").read_bytes(), 60, defined_length=True)
    with open_video(path) as source:
        assert [number_of(source.frame(n).rgb) for n in (40, 2)] == [40, 2]


def test_half_a_transport_stream_plays_what_is_there(
    clip: Callable[[str], Path], tmp_path: Path
) -> None:
    path = dicoms.video(tmp_path / "a.dcm", clip("h264-ts").read_bytes(), 60)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with open_video(path) as source:
        assert 20 < len(source) < 40
        assert source.info.problems[0].startswith("The file is cut off: ")
        assert source.info.problems[1].startswith("The header promises 60 frames; ")
        assert number_of(source.frame(20).rgb) == 20


def test_header_bombs_are_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="nested too deeply"):
        open_video(dicoms.nested(tmp_path / "deep.dcm", 20_000))
    # The others without the child: this one showed that it answers.
    header_only = tmp_path / "header.dcm"
    dicoms.nested(header_only, 0)
    with pytest.raises(BadInput, match="holds no pictures"):
        open_video(header_only, trusted=True)
    cut = tmp_path / "cut.dcm"
    cut.write_bytes(header_only.read_bytes()[:200])
    with pytest.raises(BadInput, match="holds no pictures, or is cut off before them"):
        open_video(cut, trusted=True)
    huge = tmp_path / "huge.dcm"
    ds = dicoms.dataset(9, 65_000, 65_000, "1.2.840.10008.1.2.1", "1.2.840.10008.5.1.4.1.1.3.1")
    ds.save_as(huge, enforce_file_format=True)
    with huge.open("ab") as file:
        file.write(b"\xe0\x7f\x10\x00OB\0\0" + (1 << 31).to_bytes(4, "little") + bytes(64))
    with pytest.raises(BadInput, match="picture is too large"):
        open_video(huge, trusted=True)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_a_header_that_claims_gigabytes_takes_little_memory(tmp_path: Path) -> None:
    """In the meta header, among what is wanted, and inside a private sequence."""
    sequence = struct.pack("<HH2sHI", 9, 0x1001, b"SQ", 0, 0xFFFFFFFF)
    sequence += struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    claims = {
        "meta": struct.pack("<HH2sHI", 2, 0x0102, b"OB", 0, 3 << 30),
        "wanted": struct.pack("<HH2sHI", 0x0008, 0x1030, b"UT", 0, 3 << 30),
        "nested": sequence + struct.pack("<HH2sHI", 9, 0x1002, b"OB", 0, 3 << 30),
    }
    syntax = struct.pack("<HH2sH20s", 2, 0x10, b"UI", 20, b"1.2.840.10008.1.2.1\0")
    for name, claim in claims.items():
        with (tmp_path / name).open("wb") as file:
            file.write(bytes(128) + b"DICM" + syntax + claim)
            file.truncate(4 << 30)
    code = """
import sys
from pathlib import Path
from app.core.errors import BadInput
from app.video.dicom.bounds import pydicom_reader
from app.video.dicom.file import read_dicom
pydicom_reader()
peak = lambda: int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
before = peak()
for path in sys.argv[1:]:
    try:
        read_dicom(Path(path))
    except BadInput:
        print("refused")
print(peak() - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, *(str(tmp_path / name) for name in claims)],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    *refused, grown_kb = done.stdout.split()
    assert refused == ["refused"] * 3
    assert int(grown_kb) < 64 * 1024


@pytest.mark.parametrize("kind", ["rle", "jpeg", "jpeg2000", "jpeg-ls"])
def test_noise_in_a_file_raises_nothing_but_a_sentence(tmp_path: Path, kind: str) -> None:
    whole = tmp_path / "whole.dcm"
    dicoms.stills(whole, kind, frames=2)
    data = whole.read_bytes()
    noise = random.Random(3)
    path = tmp_path / "noise.dcm"
    for _ in range(30):
        broken = bytearray(data)
        for _ in range(30):
            broken[noise.randrange(132, 1600)] = noise.randrange(256)
        path.write_bytes(broken)
        with contextlib.suppress(BadInput), open_video(path, trusted=True) as source:
            source.undecodable()


def test_frames_in_several_pieces_are_put_together_by_the_offset_table(tmp_path: Path) -> None:
    path = tmp_path / "loop.dcm"
    shown = dicoms.stills(path, "jpeg2000", frames=3)
    ds = dicoms.read(path)
    codes = list(generate_frames(ds.PixelData, number_of_frames=3))
    ds.PixelData = encapsulate(codes, fragments_per_frame=3, has_bot=True)
    ds["PixelData"].is_undefined_length = True
    ds.save_as(path)
    exact(path, shown)
    ds.PixelData, table, lengths = encapsulate_extended(codes)
    ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths = table, lengths
    ds["PixelData"].is_undefined_length = True
    ds.save_as(path)
    exact(path, shown)


def exact(path: Path, shown: list[np.ndarray]) -> None:
    """Every frame is what was written."""
    with open_video(path, trusted=True) as source:
        assert len(source) == len(shown)
        assert source.info.problems == ()
        for index in (2, 0, 1):
            assert np.array_equal(source.frame(index).rgb, shown[index])


def test_a_header_without_types_is_read(tmp_path: Path) -> None:
    path = tmp_path / "loop.dcm"
    shown = dicoms.stills(path, "mono", frames=3)
    ds = dicoms.read(path)
    ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    ds.save_as(path, implicit_vr=True, little_endian=True, overwrite=True)
    exact(path, shown)


def test_greys_without_a_window_are_seen_through_that_of_the_first_frame(tmp_path: Path) -> None:
    path = tmp_path / "loop.dcm"
    dicoms.stills(path, "mono12", frames=3)
    ds = dicoms.read(path)
    del ds.WindowCenter, ds.WindowWidth
    pixels = ds.pixel_array // 16
    ds.PixelData = pixels.astype("<u2").tobytes()
    ds.save_as(path)
    low, high = int(pixels[0].min()), int(pixels[0].max())
    with open_video(path, trusted=True) as source:
        for index in (2, 0):
            wanted = np.clip((pixels[index].astype(float) - low) * 255 / (high - low), 0, 255)
            assert np.abs(source.frame(index).rgb[..., 0] - wanted).max() <= 1


def test_files_that_other_people_made_open_or_are_refused() -> None:
    folder = Path(pydicom.__file__).parent / "data" / "test_files"
    opened = 0
    for path in sorted(folder.glob("*.dcm")):
        if not is_dicom(path):
            continue
        with contextlib.suppress(BadInput), open_video(path, trusted=True) as source:
            rgb = source.frame(0).rgb
            opened += 1
            known = dicom_pixels(path)
            if known is not None:
                assert np.array_equal(rgb, known), path.name
    assert opened > 30


def dicom_pixels(path: Path) -> np.ndarray | None:
    """The first frame as pydicom sees it, where that is 8-bit colour."""
    found = np.zeros(0)
    with quiet(), contextlib.suppress(ValueError, RuntimeError):
        found = pixel_array(pydicom.dcmread(path), index=0)
    return found if found.ndim == 3 and found.dtype == np.uint8 else None


class _Damaged:
    """An open recording in which FFmpeg finds no packet any more."""

    def __init__(self, opened: av.container.InputContainer) -> None:
        self.name, self.format = opened.name, opened.format

    def demux(self, stream: object) -> Iterator[av.Packet]:
        raise av.error.InvalidDataError(1094995529, "Invalid data", str(stream))
        yield


def test_damage_within_a_file_is_not_taken_for_a_failing_drive(
    clip: Callable[[str], Path], tmp_path: Path
) -> None:
    path = dicoms.video(tmp_path / "video.dcm", clip("h264-mp4").read_bytes(), 60)
    with open_payload(raw_payload(read_dicom(path))) as opened:
        damaged, stream = _Damaged(opened), opened.streams.video[0]
        assert list(read_packets(damaged, stream, to_the_end_of=path)) == []
        path.unlink()
        with pytest.raises(EnvironmentProblem, match="could not be read to its end"):
            list(read_packets(damaged, stream, to_the_end_of=path))
