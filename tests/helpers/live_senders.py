"""Real senders on loopback: FFmpeg over UDP, TCP and RTMP, GStreamer's RTSP server.

Each picture carries its number; when it was given to the encoder is kept.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import threading
import time
from functools import lru_cache
from pathlib import Path

import pytest

from tests.helpers.clips import picture

WIDTH_PX, HEIGHT_PX, RATE = 320, 180, 30
_SERVER = Path(__file__).with_name("rtsp_server.py")
_SYSTEM_PYTHON = "/usr/bin/python3"
KINDS = ("udp", "tcp", "rtmp", "rtsp")
OTHER_WAYS = ("tcp-listen", "rtmp-play", "rtsp-udp")
# Trocar waits for these; the others wait for Trocar.
COMING = ("udp", "rtmp", "tcp-listen")


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """A port of loopback that nobody has now."""
    with socket.socket(socket.AF_INET, kind) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def need(kind: str) -> None:
    """Skip with the reason where the sender of ``kind`` is not installed."""
    if not kind.startswith("rtsp"):
        if shutil.which("ffmpeg") is None:
            pytest.skip("the ffmpeg command, which sends, is not installed")
        return
    code = "import gi; gi.require_version('GstRtspServer', '1.0')"
    if (
        not Path(_SYSTEM_PYTHON).exists()
        or subprocess.run([_SYSTEM_PYTHON, "-c", code], capture_output=True, check=False).returncode
    ):
        pytest.skip("GStreamer's RTSP server (gir1.2-gst-rtsp-server-1.0) is not installed")


class Sender:
    """A sender that runs; a context manager. One that calls Trocar calls again where it is refused.

    Args:
        kind: of ``KINDS`` or ``OTHER_WAYS``.
        port: of loopback.
        gop: pictures from keyframe to keyframe, where FFmpeg sends.
        first: number of the first picture.

    Attributes:
        sent_s: ``time.monotonic()`` at which a picture was given to the encoder, by number.
    """

    def __init__(
        self,
        kind: str,
        port: int,
        *,
        gop: int = 15,
        first: int = 0,
        size_px: tuple[int, int] = (WIDTH_PX, HEIGHT_PX),
    ) -> None:
        self.sent_s: dict[int, float] = {}
        self._first, self._size_px = first, size_px
        self._calls = kind in COMING
        self._command = command(kind, port, gop, size_px)
        self._over = threading.Event()
        self.process = self._begin()
        if kind.startswith("rtsp"):
            assert self.process.stdout is not None
            assert self.process.stdout.readline() == b"ready\n"
        self._thread = threading.Thread(target=self._send, name="test-sender")
        self._thread.start()

    def _begin(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def __enter__(self) -> Sender:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        """The sender goes without a word."""
        self._over.set()
        self.process.kill()
        self._thread.join()
        self._end()

    def _end(self) -> None:
        self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()
        self.process.wait()

    def _send(self) -> None:
        began_s = time.monotonic()
        number = self._first
        while not self._over.is_set():
            due_s = began_s + (number - self._first) / RATE
            self._over.wait(max(0.0, due_s - time.monotonic()))
            data = _bytes_of(number, *self._size_px)
            self.sent_s[number] = time.monotonic()
            try:
                self.process.stdin.write(data)
                self.process.stdin.flush()
            except OSError:
                if self._over.is_set() or not self._calls:
                    return
                self._end()
                self._over.wait(0.2)
                self.process = self._begin()
            number += 1


@lru_cache(maxsize=4096)
def _bytes_of(number: int, width_px: int, height_px: int) -> bytes:
    return picture(number, width_px, height_px).tobytes()


def command(kind: str, port: int, gop: int, size_px: tuple[int, int]) -> list[str]:
    """What sends."""
    width, height = map(str, size_px)
    if kind.startswith("rtsp"):
        return [_SYSTEM_PYTHON, str(_SERVER), str(port), width, height, str(RATE)]
    targets = {
        "udp": ["-f", "mpegts", f"udp://127.0.0.1:{port}?pkt_size=1316"],
        "tcp": ["-f", "mpegts", f"tcp://127.0.0.1:{port}?listen=1"],
        "tcp-listen": ["-f", "mpegts", f"tcp://127.0.0.1:{port}"],
        "rtmp": ["-f", "flv", f"rtmp://127.0.0.1:{port}/live/tower"],
        "rtmp-play": ["-f", "flv", "-listen", "1", f"rtmp://127.0.0.1:{port}/live/tower"],
    }
    return [
        "ffmpeg", "-hide_banner", "-loglevel", "error", "-fflags", "nobuffer",
        "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(RATE),
        "-i", "-", "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency",
        "-threads", "1", "-pix_fmt", "yuv420p", "-g", str(gop), "-muxdelay", "0",
        "-flush_packets", "1", *targets[kind],
    ]  # fmt: skip


def spec_of(kind: str, port: int) -> str:
    """How Trocar is told of it."""
    return {
        "udp": f"udp://127.0.0.1:{port}",
        "tcp": f"tcp://127.0.0.1:{port}",
        "tcp-listen": f"tcp://127.0.0.1:{port}?listen=1",
        "rtmp": f"rtmp://127.0.0.1:{port}/live/tower?listen=1",
        "rtmp-play": f"rtmp://127.0.0.1:{port}/live/tower",
        "rtsp-udp": f"rtsp://127.0.0.1:{port}/live?transport=udp",
        "rtsp": f"rtsp://127.0.0.1:{port}/live",
    }[kind]


def percentiles_ms(seconds: list[float]) -> tuple[float, float]:
    """p50 and p95 in milliseconds."""
    ordered = sorted(seconds)
    return ordered[len(ordered) // 2] * 1000, ordered[int(len(ordered) * 0.95)] * 1000
