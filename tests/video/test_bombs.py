"""Files made to exhaust or to lead astray: refused in a sentence, under limits, not followed."""

from __future__ import annotations

import contextlib
import re
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import psutil
import pytest

from app.core.errors import BadInput, TrocarError
from app.video import open_video
from app.video.container import MAX_FRAME_RATE, MAX_HOURS
from app.video.first_look import TIME_LIMIT_S
from app.video.probe_child import ADDRESS_LIMIT_BYTES, MEMORY_LIMIT_BYTES, look
from tests.helpers.clips import motion_jpeg

PROJECT = Path(__file__).resolve().parents[2]
Clip = Callable[[str], Path]


def still_pictures(path: Path, times: list[int], unit: Fraction) -> Path:
    """A motion-JPEG file of tiny pictures at these times."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuvj420p"
        stream.codec_context.time_base = unit
        for time_units in times:
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 90, np.uint8), "rgb24")
            frame = frame.reformat(format="yuvj420p")
            frame.pts, frame.time_base = time_units, unit
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def changed(source: Path, path: Path, change: Callable[[bytearray], None]) -> Path:
    data = bytearray(source.read_bytes())
    change(data)
    path.write_bytes(data)
    return path


def _huge_duration(data: bytearray) -> None:
    at = data.index(b"\x44\x89\x88") + 3
    struct.pack_into(">d", data, at, 1e12)


def _huge_count(data: bytearray) -> None:
    """An MP4 table of two thousand million samples of one byte."""
    at = data.index(b"stsz") + 8
    struct.pack_into(">II", data, at, 1, 0x7FFFFFFF)
    at = data.index(b"stts") + 8
    struct.pack_into(">II", data, at + 4, 0x7FFFFFFF, 1)


def bombs(folder: Path, clip: Clip) -> list[tuple[str, Path]]:
    """What a refusal says, and the bomb."""
    second, hour = Fraction(1, 1), 3600
    fast = [*range(0, 4000, 1)]
    return [
        ("too large", motion_jpeg(folder / "wide.avi", [(8448, 64)])),
        ("too large", motion_jpeg(folder / "thin.avi", [(1, 65500)])),
        ("frames per second", still_pictures(folder / "fast.mov", fast, Fraction(1, 1_000_000))),
        ("hours long", still_pictures(folder / "late.mkv", [0, 1, 30 * hour], second)),
        ("hours long", changed(clip("h264-mkv"), folder / "long.mkv", _huge_duration)),
        ("claims", changed(clip("h264-mp4-no-b"), folder / "many.mp4", _huge_count)),
    ]


def test_bombs_are_refused_at_little_cost(clip: Clip, tmp_path: Path) -> None:
    assert (MAX_FRAME_RATE, MAX_HOURS) == (240, 24)
    process = psutil.Process()
    for words, path in bombs(tmp_path, clip):
        before, start_s = process.memory_info().rss, time.monotonic()
        with pytest.raises(BadInput) as caught:
            open_video(path)
        sentence = str(caught.value)
        assert words in sentence, sentence
        assert path.name in sentence
        assert sentence.endswith(".")
        assert time.monotonic() - start_s < TIME_LIMIT_S + 5
        assert process.memory_info().rss - before < 100 << 20, words


def test_bombs_are_bounded_without_the_first_look(clip: Clip, tmp_path: Path) -> None:
    """What the child refused is bounded in this process too, should it ever get here."""
    process = psutil.Process()
    for words, path in bombs(tmp_path, clip):
        before = process.memory_info().rss
        with contextlib.suppress(TrocarError), open_video(path, trusted=True) as source:
            assert len(source) < 10_000, words
        assert process.memory_info().rss - before < 100 << 20, words


def test_the_limits_of_the_child_are_under_the_promise() -> None:
    # What a child of the first look needs beside its data are libraries: 110 MB were measured.
    assert MEMORY_LIMIT_BYTES + (110 << 20) <= 512 << 20
    assert ADDRESS_LIMIT_BYTES <= 1 << 30


def memory_mb(path: Path) -> int:
    """The most memory (VmHWM) that a child of the first look had, in MB."""
    script = (
        "import sys\n"
        "from app.video import probe_child\n"
        "probe_child.main(sys.argv[1])\n"
        "print([x for x in open('/proc/self/status') if x.startswith('VmHWM')][0])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        capture_output=True,
        text=True,
        cwd=PROJECT,
        timeout=30,
        check=True,
    )
    return int(done.stdout.split()[-2]) // 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="VmHWM is Linux's")
def test_the_first_look_stays_small(shared_data: Path) -> None:
    folder = shared_data / "nasty_video"
    for name in ("exoplayer__portrait_4k60.mp4", "mp4parse__zero_empty_stsc.mp4"):
        assert memory_mb(folder / name) < 512, name


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="VmHWM is Linux's")
def test_the_first_look_stays_small_on_all_of_them(shared_data: Path) -> None:
    for folder in ("nasty_video", "dicom_video"):
        for path in sorted((shared_data / folder).iterdir()):
            if path.suffix in {".csv", ".txt"}:
                continue
            start_s = time.monotonic()
            assert memory_mb(path) < 512, path.name
            assert time.monotonic() - start_s < 12, path.name


def grown(data: bytes, old: bytes, new: bytes, parents: tuple[bytes, ...]) -> bytes:
    """An MP4 with a box's content replaced, its parents' sizes following."""
    at = data.index(old)
    result = bytearray(data[:at] + new + data[at + len(old) :])
    for name in parents:
        place = result.rindex(name, 0, at) - 4
        size = struct.unpack(">I", result[place : place + 4])[0]
        struct.pack_into(">I", result, place, size + len(new) - len(old))
    return bytes(result)


def referring(path: Path, clip: Clip, name: str) -> Path:
    """A QuickTime file whose pictures are said to lie in ``name``."""
    own = struct.pack(">I4sI", 12, b"url ", 1)
    place = f"file:{name}".encode() + b"\0"
    other = struct.pack(">I4sI", 12 + len(place), b"url ", 0) + place
    parents = (b"dref", b"dinf", b"minf", b"mdia", b"trak", b"moov")
    path.write_bytes(grown(clip("h264-mp4").read_bytes(), own, other, parents))
    return path


def lures(folder: Path, clip: Clip) -> list[Path]:
    """Files that name others: playlists of all kinds, renamed, and a data reference."""
    (folder / "real.ts").write_bytes(clip("h264-ts").read_bytes())
    (folder / "real.mp4").write_bytes(clip("h264-mp4").read_bytes())
    far = "http://127.0.0.1:9/a.ts"
    texts = {
        "local.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:2,\nreal.ts\n#EXT-X-ENDLIST\n",
        "far.mkv": f"#EXTM3U\n#EXTINF:2.4,\n{far}\n#EXT-X-ENDLIST\n",
        "local.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:2,\nreal.ts\n#EXT-X-ENDLIST\n",
        "concat.mp4": "ffconcat version 1.0\nfile real.ts\n",
        "talk.ts": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=video 9 RTP/AVP 96\n",
        "dash.mp4": '<?xml version="1.0"?><MPD type="static"><Period><BaseURL>real.mp4'
        "</BaseURL></Period></MPD>",
        "link.avi": f"[InternetShortcut]\nURL={far}\n",
        "script.avs": 'DirectShowSource("real.mp4")\n',
        "list.asx": f'<asx version="3.0"><entry><ref href="{far}"/></entry></asx>',
        "real%d.mp4": "not a sequence of pictures",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    return [*(folder / name for name in texts), referring(folder / "refers.mov", clip, "real.mp4")]


def test_references_are_refused(clip: Clip, tmp_path: Path) -> None:
    # The child's own work, here in this process: a child for each takes its time.
    for path in lures(tmp_path, clip):
        with pytest.raises(TrocarError, match=re.escape(path.name)) as caught:
            look(path)
        if path.suffix == ".mov":
            assert "reference to another file" in str(caught.value)


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_nothing_else_is_opened(clip: Clip, tmp_path: Path) -> None:
    """The kernel's own word on what opening these files opens: themselves, and no socket."""
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from app.core.errors import TrocarError\n"
        "from app.video import open_video, probe_child\n"
        "for name in sys.argv[1:]:\n"
        "    for look in (probe_child.look, lambda p: open_video(p, trusted=True).close()):\n"
        "        try: look(Path(name))\n"
        "        except TrocarError: pass\n"
    )
    paths = lures(tmp_path, clip)
    log = tmp_path / "calls"
    traced = ["strace", "-f", "-qq", "-e", "trace=open,openat,socket,connect", "-o", str(log)]
    done = subprocess.run(
        [*traced, sys.executable, "-c", script, *map(str, paths)],
        capture_output=True,
        text=True,
        cwd=PROJECT,
        timeout=120,
        check=False,
    )
    if "ptrace" in done.stderr:
        pytest.skip("processes may not be traced here")
    assert done.returncode == 0, done.stderr
    calls = log.read_text()
    opened = set(re.findall(rf'"{re.escape(str(tmp_path))}/([^"]+)"', calls))
    assert opened == {path.name for path in paths}
    assert "real.ts" not in re.findall(r'"([^"/]+)"', calls)
    assert not re.search(r"socket\(AF_INET|connect\(", calls)
