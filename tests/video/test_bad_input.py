"""Each bad file gets one sentence; playlists, bombs and references get no further than that."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from app.core.errors import BadInput, EnvironmentProblem
from app.video import OpenCancelled, open_video, probe, quick_hash
from app.video import first_look as door
from app.video.container import MAX_PIXELS
from app.video.first_look import SPARE, first_look
from tests.helpers.clips import RECIPES, make_clip, motion_jpeg

PROJECT = Path(__file__).resolve().parents[2]


def refused(path: Path, kind: type[Exception] = BadInput) -> str:
    with pytest.raises(kind) as caught:
        open_video(path)
    sentence = str(caught.value)
    assert path.name in sentence
    assert str(path.parent) not in sentence
    assert "\n" not in sentence
    assert sentence.endswith(".")
    return sentence


def test_missing_folder_and_empty(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "gone.mp4")
    assert "is a folder" in refused(tmp_path)
    (tmp_path / "empty.mp4").touch()
    assert "is empty" in refused(tmp_path / "empty.mp4")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_not_permitted(clip: Callable[[str], Path], tmp_path: Path) -> None:
    path = tmp_path / "secret.mp4"
    path.write_bytes(clip("h264-mp4").read_bytes())
    path.chmod(0)
    assert "cannot be read" in refused(path, EnvironmentProblem)


def test_not_a_video(tmp_path: Path) -> None:
    path = tmp_path / "notes.mp4"
    path.write_text("The patient was well.\n" * 400)
    assert "not a video" in refused(path)
    picture = tmp_path / "still.png"
    picture.write_bytes(cv2.imencode(".png", np.zeros((64, 64, 3), np.uint8))[1].tobytes())
    assert "not a video" in refused(picture)


def test_truncated_without_its_index(clip: Callable[[str], Path], tmp_path: Path) -> None:
    path = tmp_path / "cut.mp4"
    data = clip("h264-mp4").read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert "moov" in refused(path)


def test_truncated_streams_show_what_is_there(clip: Callable[[str], Path], tmp_path: Path) -> None:
    for name in ("h264-ts", "h264-mkv", "h264-fragmented"):
        data = clip(name).read_bytes()
        path = tmp_path / f"cut{RECIPES[name].suffix}"
        path.write_bytes(data[: len(data) * 2 // 3])
        with open_video(path) as source:
            assert 20 <= len(source) < 60, name
            assert sum(1 for _ in source.frames()) >= len(source) - 4, name


def test_sound_alone(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 9600), np.float32), "fltp", "mono")
        frame.sample_rate = 48000
        container.mux([*stream.encode(frame), *stream.encode(None)])
    assert "no video stream" in refused(path)


def test_encrypted_mp4(clip: Callable[[str], Path], tmp_path: Path) -> None:
    data = clip("h264-mp4").read_bytes()
    at = data.index(b"avcC") - 4
    # A protected sample entry: encv in place of avc1, and the box that says how.
    scheme = b"frma" + b"avc1"
    sinf = struct.pack(">I4sI", 8 + 4 + len(scheme), b"sinf", 4 + len(scheme)) + scheme
    grown = bytearray(data[:at] + sinf + data[at:])
    for name in (b"avc1", b"stsd", b"stbl", b"minf", b"mdia", b"trak", b"moov"):
        box = grown.rindex(name, 0, at) - 4
        size = struct.unpack(">I", grown[box : box + 4])[0]
        grown[box : box + 4] = struct.pack(">I", size + len(sinf))
        if name == b"avc1":
            grown[box + 4 : box + 8] = b"encv"
    path = tmp_path / "protected.mp4"
    path.write_bytes(grown)
    assert "encrypted" in refused(path)


def test_scrambled_transport_stream(clip: Callable[[str], Path], tmp_path: Path) -> None:
    data = bytearray(clip("h264-ts").read_bytes())
    for at in range(188 * 3, len(data), 188):
        data[at + 3] |= 0x80
    path = tmp_path / "scrambled.ts"
    path.write_bytes(data)
    sentence = refused(path)
    assert "encrypted" in sentence


def test_codec_that_is_not_supported(tmp_path: Path) -> None:
    path = tmp_path / "huffyuv.avi"
    make_clip(
        path, RECIPES["mjpeg-avi"].__class__(suffix=".avi", codec="huffyuv", pix_fmt="yuv422p")
    )
    assert "codec is not supported (huffyuv)" in refused(path)


def test_too_large_pictures_are_refused_before_decoding(tmp_path: Path) -> None:
    for number, size in enumerate([(8192, 8192), (8448, 64), (64, 8448)]):
        path = motion_jpeg(tmp_path / f"bomb{number}.avi", [size])
        assert path.stat().st_size < 2 << 20
        assert "too large" in refused(path)


def test_a_size_that_jumps_in_mid_stream(tmp_path: Path) -> None:
    path = motion_jpeg(tmp_path / "jump.avi", [(64, 48), (96, 48), (8192, 8192), (64, 48)])
    with open_video(path) as source:
        assert source.frame(1).rgb.shape == (48, 96, 3)
        with pytest.raises(BadInput, match=r"frame 2|Frame 2|too large"):
            source.frame(2)
        assert source.frame(3).rgb.shape == (48, 64, 3)


def test_many_streams(tmp_path: Path) -> None:
    path = tmp_path / "streams.mkv"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("mjpeg", rate=25) for _ in range(40)]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = 32, 32, "yuvj420p"
        frame = av.VideoFrame(32, 32, "yuvj420p")
        for stream in streams:
            frame.pts = 0
            container.mux(stream.encode(frame))
    assert "more than 32 streams" in refused(path)


def test_playlists_are_not_followed(clip: Callable[[str], Path], tmp_path: Path) -> None:
    (tmp_path / "real.ts").write_bytes(clip("h264-ts").read_bytes())
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.setblocking(False)
        port = server.getsockname()[1]
        texts = {
            "local.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:2,\nreal.ts\n#EXT-X-ENDLIST\n",
            "far.mp4": f"#EXTM3U\n#EXTINF:2.4,\nhttp://127.0.0.1:{port}/a.ts\n#EXT-X-ENDLIST\n",
            "concat.mp4": "ffconcat version 1.0\nfile real.ts\n",
            "talk.mp4": f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=video {port} RTP/AVP 96\n",
            "dash.mp4": '<?xml version="1.0"?><MPD type="static"><Period/></MPD>',
        }
        for name, text in texts.items():
            (tmp_path / name).write_text(text)
            sentence = refused(tmp_path / name)
            if name in {"local.mp4", "far.mp4", "concat.mp4"}:
                assert "playlist" in sentence
        with pytest.raises(BlockingIOError):
            server.accept()


def test_nothing_opens_a_socket(clip: Callable[[str], Path]) -> None:
    script = (
        "import sys\n"
        "def watch(event, arguments):\n"
        "    if event.startswith('socket.'): raise SystemExit(f'{event} {arguments}')\n"
        "sys.addaudithook(watch)\n"
        "from app.video import open_video\n"
        "with open_video(sys.argv[1]) as source: print(source.frame(7).index)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(clip("h264-mp4"))],
        capture_output=True,
        text=True,
        cwd=PROJECT,
        timeout=60,
        check=False,
    )
    assert done.stdout.strip() == "7", done.stderr


def test_the_child_is_bounded(clip: Callable[[str], Path]) -> None:
    script = (
        "import resource, sys\n"
        "from app.video import probe_child\n"
        "probe_child.limit_this_process()\n"
        "limits = (resource.RLIMIT_AS, resource.RLIMIT_DATA, resource.RLIMIT_FSIZE)\n"
        "print([resource.getrlimit(w)[0] for w in limits])\n"
        "probe_child.look(probe_child.Path(sys.argv[1]))\n"
        "peak = [x for x in open('/proc/self/status') if x.startswith('VmHWM')][0]\n"
        "print(int(peak.split()[1]) < 512 * 1024)\n"
    )
    if not Path("/proc/self/status").exists():
        pytest.skip("resource limits are looked at on Linux alone")
    done = subprocess.run(
        [sys.executable, "-c", script, str(clip("h264-mp4"))],
        capture_output=True,
        text=True,
        cwd=PROJECT,
        timeout=60,
        check=False,
    )
    assert done.stdout.splitlines() == ["[1073741824, 419430400, 0]", "True"], done.stderr


def test_a_child_that_hangs_or_dies_is_one_sentence(
    clip: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "slow.mp4"
    path.write_bytes(clip("h264-mp4").read_bytes() + b"one more byte")
    monkeypatch.setattr(
        door, "_child_command", lambda: [sys.executable, "-c", "import time; time.sleep(60)"]
    )
    with pytest.raises(BadInput, match="took longer than"):
        first_look(path, time_limit_s=0.5)
    with pytest.raises(OpenCancelled):
        first_look(path, cancelled=lambda: True)
    monkeypatch.setattr(
        door, "_child_command", lambda: [sys.executable, "-c", "import os; os.abort()"]
    )
    assert "cannot be opened safely" in refused(path)


def test_a_child_that_gets_little_of_the_processor_is_waited_for(
    clip: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "busy.mp4"
    path.write_bytes(clip("h264-mp4").read_bytes() + b"one more byte")
    code = (
        "import time; end = time.monotonic() + 1.5\n"
        "while time.monotonic() < end:\n"
        "    time.sleep(0.02); sum(range(300_000))\n"
        'print(\'{"problem": null, "kind": null}\')'
    )
    monkeypatch.setattr(door, "_child_command", lambda: [sys.executable, "-c", code])
    SPARE.end()
    first_look(path, time_limit_s=1.0)


def test_names_of_every_script(clip: Callable[[str], Path], tmp_path: Path) -> None:
    for name in ("手术 录像 🎥.mp4", "%03d.mp4", "http:x.mp4", "-i.mp4", "a" * 200 + ".mp4"):
        path = tmp_path / name
        path.write_bytes(clip("h264-mp4").read_bytes())
        assert probe(path).frames == 60


def test_a_changed_file_is_looked_at_again(
    clip: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "known.mp4"
    path.write_bytes(clip("h264-mp4").read_bytes() + os.urandom(16))
    looks = []
    monkeypatch.setattr("app.video.opening.first_look", lambda p, _c: looks.append(quick_hash(p)))
    for _ in range(2):
        open_video(path).close()
    assert len(looks) == 1
    path.write_bytes(path.read_bytes() + b"tail")
    open_video(path).close()
    assert len(looks) == 2


def test_a_known_file_is_indexed_once(
    clip: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "known.mkv"
    path.write_bytes(clip("h264-mkv").read_bytes())
    with open_video(path) as source:
        index = source.index
    monkeypatch.delattr("app.video.file_source.build_index")
    with open_video(path) as source:
        assert source.index is index
        assert source.frame(33).index == 33


def test_the_pixel_limit_holds_in_the_decoder(tmp_path: Path) -> None:
    path = motion_jpeg(tmp_path / "small-then-huge.avi", [(64, 48), (8192, 8192)])
    assert MAX_PIXELS < 8192 * 8192
    with open_video(path, trusted=True) as source, pytest.raises(BadInput):
        source.frame(1)


def test_a_drive_that_goes_while_a_file_is_opened(
    clip: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "on-a-stick.mp4"
    path.write_bytes(clip("h264-mp4").read_bytes())

    def gone(*_arguments: object) -> None:
        path.unlink()
        path.stat()

    monkeypatch.setattr("app.video.decoder.Decoder.describe", gone)
    with pytest.raises(EnvironmentProblem, match="check its drive"):
        open_video(path)
