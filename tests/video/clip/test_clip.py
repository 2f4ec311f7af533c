"""A clip holds exactly the frames that were asked for, and nothing that names anybody."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from app.core.errors import BadInput, EnvironmentProblem, Refused
from app.core.frame import Frame
from app.video import VideoSource, describe_joined, open_recording, open_video
from app.video.clip.encode import _Pictures
from app.video.clip.export import ClipCancelled, frames_between, write_clip
from app.video.decoder import UndecodableFrame
from tests.helpers.clips import RECIPES, damaged_clip, motion_jpeg, number_of, picture
from tests.helpers.full_disk import full_disk
from tests.helpers.parts import four_parts

CUTS = [(15, 29), (17, 33), (59, 59)]
NAMES = ["h264-open-gop-ts", "h264-avi-b", "hevc-mkv-10", "vfr-mp4", "edit-list-mp4"]
MORE = [
    "h264-mp4",
    "h264-ts",
    "h264-fragmented",
    "mpeg2-ts-interlaced",
    "late-start-mkv",
    "clock-wraps-ts",
]


def numbers(source: VideoSource, first: int, last: int) -> list[int]:
    return [number_of(source.frame(i).rgb) for i in range(first, last + 1)]


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        *((n, ".mp4") for n in NAMES),
        ("vfr-mp4", ".mkv"),
        ("h264-ts", ".mov"),
        *(pytest.param(n, s, marks=pytest.mark.long) for n in MORE for s in (".mp4", ".mkv")),
    ],
)
def test_first_and_last_frame_are_those_asked_for(
    clip: Callable[[str], Path], tmp_path: Path, name: str, suffix: str
) -> None:
    out = tmp_path / f"out{suffix}"
    with open_video(clip(name), trusted=True) as source:
        for first, last in ((a, b) for a, b in CUTS if b < len(source)):
            made = write_clip(source, first, last, out)
            assert (made.first, made.last, made.repeated) == (first, last, 0)
            with open_video(out, trusted=True) as found:
                assert len(found) == last - first + 1
                assert numbers(found, 0, last - first) == numbers(source, first, last)
                for i in range(len(found)):
                    since_ms = source.time_ms(first + i) - source.time_ms(first)
                    assert found.time_ms(i) == pytest.approx(since_ms, abs=0.6)
    assert sorted(p.name for p in tmp_path.iterdir()) == [out.name]


@pytest.mark.parametrize(
    ("name", "cut", "copied"),
    [
        ("h264-mp4", (15, 29), True),
        ("h264-mp4", (15, 30), True),  # frame 30 is a keyframe of a closed group
        ("h264-mp4", (15, 31), False),  # frame 31 leans on a later one
        ("h264-mp4", (16, 29), False),
        ("h264-mp4-no-b", (15, 31), True),
        ("h264-open-gop-ts", (15, 29), False),  # its last frames lean on the next keyframe
        ("hevc-mov", (15, 44), True),
        ("h264-avi-b", (0, 59), False),
        ("rotated-mp4", (15, 29), True),
        ("mpeg2-ts-interlaced", (0, 59), True),
    ],
)
def test_packets_are_copied_where_they_stand_alone(
    clip: Callable[[str], Path], tmp_path: Path, name: str, cut: tuple[int, int], copied: bool
) -> None:
    out = tmp_path / "out.mp4"
    with open_video(clip(name), trusted=True) as source:
        made = write_clip(source, *cut, out)
        assert made.lossless == copied
        with open_video(out, trusted=True) as found:
            for at in (0, len(found) // 2, len(found) - 1):
                if not source.info.is_interlaced:  # else it leans on its neighbours
                    same = np.array_equal(found.frame(at).rgb, source.frame(cut[0] + at).rgb)
                    assert same == copied


def test_a_lossless_clip_grows_to_where_it_can_be_cut(
    clip: Callable[[str], Path], tmp_path: Path
) -> None:
    with open_video(clip("h264-mp4"), trusted=True) as source:
        made = write_clip(source, 17, 40, tmp_path / "out.mp4", exact=False)
        assert made.lossless
        assert (made.first, made.last) == (15, 42)
        with open_video(made.path, trusted=True) as found:
            assert numbers(found, 0, len(found) - 1) == list(range(15, 43))
    with (
        open_video(clip("h264-avi-b"), trusted=True) as source,
        pytest.raises(Refused, match="without encoding it anew"),
    ):
        write_clip(source, 3, 9, tmp_path / "other.mp4", exact=False)
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]


def test_a_stretch_of_time_ends_with_the_frame_before_its_end(clip: Callable[[str], Path]) -> None:
    with open_video(clip("h264-ts"), trusted=True) as source:
        assert frames_between(source, 0.4, 1.0) == (10, 24)
        assert frames_between(source, 0.41, 0.99) == (10, 24)
        assert frames_between(source, 0.4, 0.401) == (10, 10)
        assert frames_between(source, 0.0, 2.4) == (0, 59)
        for wrong in ((1.0, 1.0), (-1.0, 1.0), (5.0, 6.0), (0.0, 9.0), (2.0, 1.0)):
            with pytest.raises(BadInput):
                frames_between(source, *wrong)


def with_everything(path: Path) -> Path:
    """A film with names, a date, sound and a letter in it."""
    with av.open(str(path), "w") as out:
        out.metadata.update(title="Doe, Jane", comment="OR 4", creation_time="2026-01-02T03:04:05")
        video = out.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt, video.gop_size = 320, 180, "yuv420p", 10
        video.metadata.update(title="Jane", language="deu")
        sound = out.add_stream("aac", rate=48000)
        sound.layout = "mono"
        sound.metadata["title"] = "Surgeon's microphone"
        out.add_attachment("jane.txt", "text/plain", b"Dear Jane Doe")
        wave = (8000 * np.sin(np.arange(96000) * 2 * np.pi * 440 / 48000)).astype(np.int16)
        for number in range(50):
            frame = av.VideoFrame.from_ndarray(picture(number), "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(video.encode(frame))
            piece = wave[number * 1920 : (number + 1) * 1920].reshape(1, -1)
            heard = av.AudioFrame.from_ndarray(piece, format="s16", layout="mono")
            heard.sample_rate, heard.pts = 48000, number * 1920
            out.mux(sound.encode(heard))
        out.mux(video.encode(None))
        out.mux(sound.encode(None))
    return path


@pytest.mark.parametrize("first", [10, 13])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_nothing_that_names_anybody_goes_along(tmp_path: Path, suffix: str, first: int) -> None:
    film = with_everything(tmp_path / "Doe_Jane.mkv")
    out = tmp_path / f"out{suffix}"
    with open_video(film, trusted=True) as source:
        made = write_clip(source, first, 39, out)
        assert made.lossless == (first == 10)
        assert not made.sound
    with av.open(str(out)) as found:
        assert [s.type for s in found.streams] == ["video"]
        told = {**found.metadata, **found.streams[0].metadata}
        neutral = {"major_brand", "minor_version", "compatible_brands", "vendor_id", "encoder"}
        kept = {k.lower(): v for k, v in told.items() if k.lower() not in neutral}
        assert kept.pop("handler_name", "VideoHandler") == "VideoHandler"
        assert kept.pop("language", "und") == "und"
        kept.pop("duration", None)
        assert kept == {}
    assert not any(word in out.read_bytes() for word in (b"Doe", b"Jane", b"OR 4", b"deu"))


@pytest.mark.parametrize("first", [10, 13])
def test_sound_goes_along_where_it_is_wanted(tmp_path: Path, first: int) -> None:
    film = with_everything(tmp_path / "film.mkv")
    out = tmp_path / "out.mp4"
    with open_video(film, trusted=True) as source:
        assert write_clip(source, first, 39, out, sound=True).sound
    with av.open(str(out)) as found:
        heard = [f.to_ndarray() for f in found.decode(audio=0)]
        loud_s = sum(f.shape[1] for f in heard) / 48000
        assert found.streams.audio[0].metadata.get("title") is None
    assert loud_s == pytest.approx((40 - first) / 25, abs=0.06)
    assert max(float(np.abs(f).max()) for f in heard) > 0.1
    with open_video(out, trusted=True) as clip:
        assert numbers(clip, 0, len(clip) - 1) == list(range(first, 40))


def test_sound_of_another_codec_is_encoded_anew(tmp_path: Path) -> None:
    film = tmp_path / "film.mkv"
    with av.open(str(film), "w") as out:
        video = out.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 320, 180, "yuv420p"
        sound = out.add_stream("pcm_s16le", rate=16000)
        sound.layout = "mono"
        wave = (8000 * np.sin(np.arange(16000) * 0.2)).astype(np.int16).reshape(1, -1)
        for number in range(25):
            frame = av.VideoFrame.from_ndarray(picture(number), "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(video.encode(frame))
            piece = np.ascontiguousarray(wave[:, number * 640 : (number + 1) * 640])
            heard = av.AudioFrame.from_ndarray(piece, format="s16", layout="mono")
            heard.sample_rate, heard.pts = 16000, number * 640
            out.mux(sound.encode(heard))
        out.mux(video.encode(None))
    with open_video(film, trusted=True) as source:
        assert write_clip(source, 0, 24, tmp_path / "out.mp4", sound=True).sound
    with av.open(str(tmp_path / "out.mp4")) as found:
        assert found.streams.audio[0].codec_context.name == "aac"
        samples = sum(f.samples for f in found.decode(audio=0))
    assert samples / 16000 == pytest.approx(1.0, abs=0.15)


def test_no_sound_is_said(clip: Callable[[str], Path], tmp_path: Path) -> None:
    with (
        open_video(clip("h264-mp4"), trusted=True) as source,
        pytest.raises(BadInput, match="no sound"),
    ):
        write_clip(source, 0, 9, tmp_path / "out.mp4", sound=True)
    assert not list(tmp_path.iterdir())


def test_what_is_drawn_is_in_the_clip(clip: Callable[[str], Path], tmp_path: Path) -> None:
    def draw(frame: object) -> np.ndarray:
        rgb = frame.rgb.copy()  # type: ignore[attr-defined]
        rgb[100:160, 100:200] = (255, 0, 0)
        return rgb

    with open_video(clip("h264-mp4"), trusted=True) as source:
        made = write_clip(source, 15, 29, tmp_path / "out.mp4", draw=draw)
        assert not made.lossless
        with pytest.raises(Refused):
            write_clip(source, 15, 29, tmp_path / "b.mp4", draw=draw, exact=False)
    with open_video(made.path, trusted=True) as found:
        assert numbers(found, 0, 14) == list(range(15, 30))
        red = found.frame(7).rgb[110:150, 110:190].reshape(-1, 3).mean(axis=0)
    assert red == pytest.approx([254, 0, 0], abs=4)


def test_colours_survive_being_encoded_anew(clip: Callable[[str], Path], tmp_path: Path) -> None:
    with open_video(clip("h264-mp4"), trusted=True) as source:
        write_clip(source, 17, 20, tmp_path / "out.mp4")
        before = source.frame(18).rgb.astype(int)
    with open_video(tmp_path / "out.mp4", trusted=True) as found:
        assert np.abs(found.frame(1).rgb.astype(int) - before).mean() < 3.0


def test_damaged_frames_show_the_one_before(tmp_path: Path) -> None:
    film = damaged_clip(tmp_path / "film.avi", [0, 12, 13])
    with open_video(film, trusted=True) as source:
        made = write_clip(source, 0, 19, tmp_path / "out.mp4")
        assert (made.repeated, made.frames) == (3, 20)
        with open_video(made.path, trusted=True) as found:
            said = numbers(found, 0, 19)
        assert said == [1, *range(1, 12), 11, 11, *range(14, 20)]
        with pytest.raises(BadInput, match="damaged"):
            write_clip(source, 12, 13, tmp_path / "lost.mp4")


def test_damage_of_any_length_before_the_first_good_picture(
    clip: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_video(clip("h264-mp4"), trusted=True) as source:
        good = source.frame(7)

        def late(index: int) -> Frame:
            if index < 3000:
                raise UndecodableFrame(index, "film")
            return good

        monkeypatch.setattr(source, "frame", late)
        pictures = _Pictures(source, None)
        assert number_of(pictures.at(0, 3000)) == number_of(pictures.at(1, 3000)) == 7
        assert pictures.repeated == 2
        with pytest.raises(BadInput, match="damaged"):
            _Pictures(source, None).at(0, 2999)


def test_a_change_of_size_is_said(tmp_path: Path) -> None:
    film = motion_jpeg(tmp_path / "film.avi", [(320, 180)] * 3 + [(160, 90)] * 3)
    with (
        open_video(film, trusted=True) as source,
        pytest.raises(BadInput, match="changes its size at frame 3"),
    ):
        write_clip(source, 0, 5, tmp_path / "out.mp4", draw=lambda f: f.rgb)


def test_what_cannot_be_written_is_said(clip: Callable[[str], Path], tmp_path: Path) -> None:
    own = tmp_path / "own.mp4"
    own.write_bytes(clip("h264-mp4").read_bytes())
    with open_video(own, trusted=True) as source:
        with pytest.raises(BadInput, match="name it with one of"):
            write_clip(source, 0, 9, tmp_path / "out.avi")
        with pytest.raises(BadInput, match="has the frames 0 to 59"):
            write_clip(source, 0, 60, tmp_path / "out.mp4")
        with pytest.raises(Refused, match="recording itself"):
            write_clip(source, 0, 9, own)
        with pytest.raises(EnvironmentProblem):
            write_clip(source, 0, 9, tmp_path / "none" / "out.mp4")
    assert own.read_bytes() == clip("h264-mp4").read_bytes()


@pytest.mark.parametrize("first", [15, 16])
def test_cancelling_leaves_nothing_and_keeps_what_was_there(
    clip: Callable[[str], Path], tmp_path: Path, first: int
) -> None:
    out = tmp_path / "out.mp4"
    out.write_bytes(b"an earlier clip")
    done: list[int] = []
    with (
        open_video(clip("h264-mp4"), trusted=True) as source,
        pytest.raises(ClipCancelled),
    ):
        write_clip(
            source,
            first,
            59,
            out,
            progress=lambda n, _of: done.append(n),
            cancelled=lambda: len(done) > 5,
        )
    assert done == list(range(1, 7))
    assert out.read_bytes() == b"an earlier clip"
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]


def test_odd_sides(tmp_path: Path) -> None:
    assert RECIPES["mjpeg-avi"].width_px == 320
    film = motion_jpeg(tmp_path / "film.avi", [(321, 181)] * 4)
    with open_video(film, trusted=True) as source:
        made = write_clip(source, 1, 3, tmp_path / "out.mp4", draw=lambda f: f.rgb)
    with open_video(made.path, trusted=True) as found:
        assert (found.info.width_px, found.info.height_px) == (322, 182)


def test_a_split_recording_gives_a_clip_across_its_join(tmp_path: Path) -> None:
    asset = describe_joined(four_parts(tmp_path / "stick", ".mp4", (20, 15, 10, 5)), "a")
    with open_recording(asset) as source:
        made = write_clip(source, 15, 40, tmp_path / "out.mp4")
        assert (made.lossless, made.frames) == (False, 26)
        with open_video(made.path, trusted=True) as found:
            assert numbers(found, 0, 25) == list(range(15, 41))
        with pytest.raises(Refused, match="recording itself"):
            write_clip(source, 0, 9, source.files[2])
        with pytest.raises(Refused, match="sound"):
            write_clip(source, 0, 9, tmp_path / "b.mp4", sound=True)


def test_dicom_video_gives_a_clip(shared_data: Path, tmp_path: Path) -> None:
    with open_video(shared_data / "dicom_video" / "h264_hp41_es_mp4.dcm", trusted=True) as source:
        made = write_clip(source, 3, 12, tmp_path / "out.mp4")
        with open_video(made.path, trusted=True) as found:
            assert len(found) == 10
            gap = found.frame(9).rgb.astype(int) - source.frame(12).rgb.astype(int)
    assert np.abs(gap).mean() < 4.0


def test_pixels_that_are_not_square_stay_so(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    with av.open(str(film), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 320, 180, "yuv420p", 10
        stream.codec_context.sample_aspect_ratio = Fraction(16, 11)
        for number in range(20):
            frame = av.VideoFrame.from_ndarray(picture(number), "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with open_video(film, trusted=True) as source:
        for first, copied in ((10, True), (11, False)):
            made = write_clip(source, first, 19, tmp_path / "out.mp4")
            assert made.lossless == copied
            with open_video(made.path, trusted=True) as found:
                assert found.info.pixel_aspect == Fraction(16, 11)


@pytest.mark.parametrize("first", [15, 16])
def test_a_full_disk_is_said_and_leaves_nothing(
    clip: Callable[[str], Path], tmp_path: Path, first: int
) -> None:
    with open_video(clip("h264-mp4"), trusted=True) as source:
        with full_disk(), pytest.raises(EnvironmentProblem, match="free space"):
            write_clip(source, first, 59, tmp_path / "out.mp4")
        assert list(tmp_path.iterdir()) == []
        assert write_clip(source, first, 59, tmp_path / "out.mp4").frames == 60 - first
