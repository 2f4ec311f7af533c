"""What a user may name as a live source, and that nothing else is opened."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from app.core.errors import BadInput, EnvironmentProblem
from app.video.live.capture import Capture
from app.video.live.connection import LiveConnection, SignalLost
from app.video.live.devices import Mode, address_of, list_devices, read_modes
from app.video.live.spec import parse_spec
from app.video.live.state import LivePacket, LiveState, LiveStatus
from tests.live.conftest import wait_for


@pytest.mark.parametrize(
    "text",
    ["", "rtsp:", "rtsp://", "concat:a|b", "ftp://host/x", "udp://host", "tcp://host:notaport",
     "screen:1,2", "screen:0,0,9999x9999", "device:", "hls+http://x/y", "video.mp4",
     "subfile,,start,0,end,9,,:x.ts", "pipe:0", "async:file:x"],
)  # fmt: skip
def test_what_is_no_source_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        parse_spec(text)


def test_options_of_an_address_do_not_pass_by_the_allow_list() -> None:
    spec = parse_spec("udp://127.0.0.1:5000?sources=1.2.3.4&protocol_whitelist=file")
    assert spec.url == "udp://127.0.0.1:5000"
    assert spec.options["protocol_whitelist"] == "udp"
    # Sound is not recorded, but looking at a stream that may not be opened takes a second.
    assert "aac" in spec.options["codec_whitelist"].split(",")
    assert "hls" not in parse_spec("https://host/live.m3u8").options["format_whitelist"]


def test_secrets_stay_out_of_names() -> None:
    spec = parse_spec("rtsp://doctor:sesame@tower.example/1?key=abc&transport=udp")
    assert spec.name == "rtsp://tower.example/1"
    assert "sesame" not in repr(spec)
    assert spec.options["rtsp_transport"] == "udp"
    with pytest.raises(BadInput) as refused:
        parse_spec("gopher://doctor:sesame@host/x?key=abc")
    assert "sesame" not in str(refused.value)
    assert "abc" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("rtmp://cdn.example/live/sesame", "rtmp://cdn.example/live"),
        ("RTMP://cdn.example:1935/live/room/sesame?auth=sesame", "rtmp://cdn.example:1935/live"),
        ("rtmps://doctor:sesame@cdn.example/live/sesame", "rtmps://cdn.example/live"),
        ("rtmp://cdn.example/sesame", "rtmp://cdn.example"),
        ("rtmp://cdn.example/live//sesame", "rtmp://cdn.example/live"),
        ("rtmp://0.0.0.0:1935/live/sesame?listen=1", "rtmp://0.0.0.0:1935/live"),
        ("rtsp://doctor:sesame@[::1]:8554/1", "rtsp://[::1]:8554/1"),
        ("rtsp://doctor:s%2Fsesame@tower/1#sesame", "rtsp://tower/1"),
        ("rtsp://doctor:12/sesame@tower/1", "rtsp://…"),
        ("rtsp://doctor:12?sesame@tower/1", "rtsp://…"),
        ("rtsp://doctor:ses@sesame/1@tower/1", "rtsp://…"),
        ("rtsp://tower/user=doctor&password=sesame&channel=1", "rtsp://tower/…"),
        ("rtsp://tower/cam/user%3Ddoctor_password%3Dsesame/1", "rtsp://tower/cam/…"),
        ("https://tower/live.ts?token=sesame&x=1", "https://tower/live.ts"),
        ("srt://tower:5000?streamid=sesame&passphrase=sesame", "srt://tower:5000"),
    ],
)  # fmt: skip
def test_no_secret_is_in_a_name(text: str, name: str) -> None:
    spec = parse_spec(text)
    assert spec.name == name
    assert "sesame" not in repr(spec)


def test_a_call_that_nobody_answers_tells_no_key(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    states: list[LiveState] = []
    spec = parse_spec("rtmp://doctor:sesame@127.0.0.1:1/live/sesame")
    assert "sesame" in spec.url
    capture = Capture(spec, on_state=states.append, first_retry_s=0.05)
    capture.start()
    wait_for(lambda: capture.state.attempts > 2)
    capture.close()
    assert any("rtmp://127.0.0.1:1/live" in state.sentence for state in states)
    assert "sesame" not in caplog.text + repr(states)


@pytest.mark.parametrize(
    "text",
    ["rtsp://doctor:p/sesame@tower/1", "rtsp://doctor:p#sesame@tower", "rtsp://d:p?sesame@tower/1",
     "rtsp:/doctor:sesame@tower/1", "rtsp:doctor:sesame@tower", "doctor:sesame@tower",
     "rtmp:/cdn/live/sesame", "rtmpt://cdn/live/sesame", "cdn/live/sesame", "sesame@tower",
     "rtmp://cdn playpath=sesame", "rtmp:\\\\cdn\\live\\sesame", "rtsp://[sesame/1",
     "rtsp://doctor:sesame℀@tower/1", "tcp://doctor:sesame@tower/1", "token=sesame",
     "camera doctor sesame", "tower\tsesame"],
)  # fmt: skip
def test_no_secret_is_in_a_refusal(text: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse_spec(text)
    error: BaseException | None = refused.value
    while error is not None:
        assert "sesame" not in str(error)
        error = error.__cause__


class _Files(BaseHTTPRequestHandler):
    def __init__(self, files: dict[str, bytes], asked: list[str], *args: object) -> None:
        self._files, self._asked = files, asked
        super().__init__(*args)

    def do_GET(self) -> None:
        self._asked.append(self.path)
        data = self._files.get(self.path)
        self.send_response(200 if data is not None else 404)
        self.send_header("Content-Length", str(len(data or b"")))
        self.end_headers()
        self.wfile.write(data or b"")

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


@pytest.fixture
def web() -> Iterator[tuple[dict[str, bytes], list[str], int]]:
    """A web server: its files, what was asked for, its port."""
    files: dict[str, bytes] = {}
    asked: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, files, asked))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield files, asked, server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_playlist_is_not_followed(web: tuple[dict[str, bytes], list[str], int]) -> None:
    files, asked, port = web
    files["/live.ts"] = b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nsecret.ts\n"
    files["/cut.ts"] = b"ffconcat version 1.0\nfile secret.ts\n"
    for name in ("live.ts", "cut.ts"):
        with pytest.raises((SignalLost, BadInput)):
            LiveConnection(parse_spec(f"http://127.0.0.1:{port}/{name}"))
    assert "/secret.ts" not in asked


def test_http_is_watched_to_its_end(
    web: tuple[dict[str, bytes], list[str], int], clip: object
) -> None:
    files, _, port = web
    files["/live.ts"] = clip("h264-ts").read_bytes()  # type: ignore[operator]
    packets: list[LivePacket] = []
    states: list[LiveState] = []
    capture = Capture(
        f"http://127.0.0.1:{port}/live.ts", on_packet=packets.append, on_state=states.append
    )
    capture.start()
    wait_for(lambda: any(s.status is LiveStatus.RECONNECTING for s in states))
    capture.close()
    lost = next(s for s in states if s.status is LiveStatus.LOST)
    assert lost.sentence.endswith("is lost: the sender ended.")
    pts = [p.pts for p in packets[:60]]
    assert sorted(pts) == [97200 + 3600 * i for i in range(60)]


def test_what_this_ffmpeg_cannot_do_is_said() -> None:
    with pytest.raises(EnvironmentProblem, match="SRT is not in this FFmpeg"):
        LiveConnection(parse_spec("srt://127.0.0.1:5000"))


def test_devices_have_names_and_modes() -> None:
    devices = list_devices()
    assert len({d.name for d in devices}) == len(devices)
    with pytest.raises(EnvironmentProblem, match="no capture device “No such tower”"):
        address_of("No such tower")
    linux = (
        "Raw       :     yuyv422 :           YUYV 4:2:2 : 640x480 1920x1080\n"
        "Compressed:       mjpeg :          Motion-JPEG : 1280x720\n"
        "Unsupported : junk\n"
    )
    assert [str(m) for m in read_modes(linux)] == [
        "1920x1080/yuyv422",
        "1280x720/mjpeg",
        "640x480/yuyv422",
    ]
    windows = "  vcodec=mjpeg  min s=1280x720 fps=5 max s=1280x720 fps=60.0002"
    assert read_modes(windows) == (
        Mode(width_px=1280, height_px=720, rate=60.0002, coding="mjpeg"),
    )
    assert [str(m) for m in read_modes("   1280x720@[1.000000 30.000000]fps")] == ["1280x720@30"]


def test_a_mode_is_asked_for() -> None:
    spec = parse_spec("device:EndoCam HD#1920x1080@59.94")
    assert spec.name == "EndoCam HD"
    assert (spec.options["video_size"], spec.options["framerate"]) == ("1920x1080", "59.94")
    assert parse_spec("device:Tower #2").name == "Tower #2"
    assert parse_spec("device:Tower #2#@25").name == "Tower #2"


def test_a_file_that_is_not_there_fails_at_once(tmp_path: Path) -> None:
    capture = Capture(f"file:{tmp_path / 'none.mp4'}")
    capture.start()
    wait_for(lambda: capture.state.status is LiveStatus.FAILED)
    capture.close()
    assert "there is no such file" in capture.state.sentence
