"""What a live source is called, and how FFmpeg opens it: one allow-list per kind of source.

Nothing is opened but what the user named: no other protocol, no playlist, no reference.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from app.core.errors import BadInput
from app.video.container import CODECS, MAX_PIXELS, SOUND_CODECS

KINDS = "rtsp, rtsps, rtmp, rtmps, srt, udp, tcp, http, https, device, screen, file"
_NETWORK = {
    # scheme: (demuxer that is forced, demuxers that may be found, protocols below)
    "rtsp": ("rtsp", "rtsp", "tcp,udp,rtp"),
    "rtsps": ("rtsp", "rtsp", "tcp,tls,udp,rtp"),
    "rtmp": ("flv", "flv", "rtmp,tcp"),
    "rtmps": ("flv", "flv", "rtmps,tls,tcp"),
    "srt": ("mpegts", "mpegts", "srt"),
    "udp": ("mpegts", "mpegts", "udp"),
    "tcp": ("mpegts", "mpegts", "tcp"),
    "http": ("", "mpegts,flv,mov,matroska,webm,mpjpeg", "http,tcp"),
    "https": ("", "mpegts,flv,mov,matroska,webm,mpjpeg", "https,tls,tcp"),
}
_LISTENING = ("rtmp", "tcp")
LIVE_CODECS = (*CODECS, "rawvideo")
_DECODERS = (*LIVE_CODECS, "libdav1d", "flv", "msmpeg4", "mpegvideo", *SOUND_CODECS)
_SCREEN = re.compile(r"(-?\d+),(-?\d+),(\d+)x(\d+)")
_MODE = re.compile(r"(?:(\d+)x(\d+))?(?:@(\d+(?:\.\d+)?))?(?:/(\w+))?")
DEVICE_FORMAT = {"linux": "v4l2", "win32": "dshow", "darwin": "avfoundation"}.get(
    sys.platform, "v4l2"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSpec:
    """A live source that was named by the user.

    Attributes:
        kind: one of ``KINDS``.
        url: what FFmpeg opens.
        name: for people; without user, password and query.
        format: demuxer, "" where FFmpeg finds it among those allowed.
        options: of the opening; hold the allow-lists.
        listens: the source comes to us; nobody is called.
    """

    kind: str
    url: str = field(repr=False)
    name: str
    format: str = ""
    options: dict[str, str] = field(default_factory=dict, repr=False)
    listens: bool = False

    @property
    def is_file(self) -> bool:
        """A file that is played as if it were live."""
        return self.kind == "file"


def parse_spec(text: str) -> LiveSpec:
    """What a user typed as a live source.

    ``rtsp://``, ``rtsps://`` (TCP; with ``?transport=udp`` UDP), ``rtmp://``, ``rtmps://``,
    ``srt://``, ``udp://``, ``tcp://`` (MPEG-TS), ``http://``, ``https://``; RTMP and TCP with
    ``?listen=1`` wait for a sender. ``device:NAME`` or ``device:NAME#1920x1080@30/mjpeg``,
    ``screen:X,Y,WxH``, ``file:PATH``.

    Raises:
        BadInput: the kind is not known or something is missing.
    """
    text = text.strip()
    kind, separator, rest = text.partition(":")
    kind = kind.lower()
    if separator and rest:
        if kind == "file":
            path = Path(rest).expanduser()
            return LiveSpec(kind=kind, url=str(path), name=path.name)
        if kind == "device":
            return _device(rest)
        if kind == "screen":
            return _screen(rest)
        if kind in _NETWORK and rest.startswith("//") and urlsplit(text).netloc:
            return _network(kind, text)
    raise BadInput(
        f"“{_without_secrets(text)}” is no live source that Trocar knows; name one that begins "
        f"with one of {KINDS}, such as rtsp://192.168.0.20/stream or device:NAME."
    )


def _network(kind: str, text: str) -> LiveSpec:
    parts = urlsplit(text)
    try:
        has_port = parts.port is not None
    except ValueError:
        has_port = False
    if kind in ("udp", "tcp", "srt") and not has_port:
        raise BadInput(f"{_without_secrets(text)} names no port; write it as {kind}://HOST:PORT.")
    query = dict(parse_qsl(parts.query))
    listens = query.pop("listen", "0") not in ("0", "") and kind in _LISTENING
    transport = query.pop("transport", "tcp")
    forced, found, protocols = _NETWORK[kind]
    options = {"protocol_whitelist": protocols, "format_whitelist": found, **_limits()}
    if kind.startswith("rtsp"):
        options["rtsp_transport"] = "udp" if transport == "udp" else "tcp"
        options["allowed_media_types"] = "video"
    if kind in ("udp", "srt"):
        # What the kernel holds while this process is busy; the sender does not wait.
        options["buffer_size"] = str(8 << 20)
    if listens:
        options["listen"] = "1"
    # Options in the address would pass by the allow-list of this module.
    kept = query if kind in ("http", "https", "rtsp", "rtsps", "rtmp", "rtmps") else {}
    url = urlunsplit((kind, parts.netloc, parts.path, urlencode(kept), ""))
    return LiveSpec(
        kind=kind,
        url=url,
        name=_without_secrets(text),
        format=forced,
        options=options,
        listens=listens or (kind == "udp"),
    )


def _device(rest: str) -> LiveSpec:
    name, _, mode = rest.rpartition("#")
    found = _MODE.fullmatch(mode)
    if not name or found is None:
        # Names may hold the sign too.
        name, found = rest, None
    width, height, rate, coding = (None,) * 4 if found is None else found.groups()
    options = _limits()
    if width:
        options["video_size"] = f"{width}x{height}"
    if rate:
        options["framerate"] = rate
    if coding and DEVICE_FORMAT == "v4l2":
        options["input_format"] = coding
    elif coding:
        options["vcodec" if coding in LIVE_CODECS else "pixel_format"] = coding
    return LiveSpec(kind="device", url=name, name=name, format=DEVICE_FORMAT, options=options)


def _screen(rest: str) -> LiveSpec:
    found = _SCREEN.fullmatch(rest)
    if found is None:
        raise BadInput(
            f"“screen:{rest}” names no part of the screen; write it as screen:X,Y,WIDTHxHEIGHT."
        )
    x, y, width, height = (int(number) for number in found.groups())
    if not 16 <= width <= 8192 or not 16 <= height <= 8192 or width * height > MAX_PIXELS:
        raise BadInput(f"A part of {width} x {height} pixels of the screen cannot be recorded.")
    import os

    options = {**_limits(), "framerate": "30", "video_size": f"{width}x{height}"}
    name = f"the screen at {x}, {y}"
    if sys.platform == "win32":
        options |= {"offset_x": str(x), "offset_y": str(y)}
        return LiveSpec(kind="screen", url="desktop", name=name, format="gdigrab", options=options)
    if sys.platform == "darwin":
        raise BadInput("A part of the screen cannot be recorded on macOS; use device: with a card.")
    display = os.environ.get("DISPLAY", "")
    if not display:
        raise BadInput("There is no screen to record: no X display is open in this session.")
    url = f"{display}+{max(x, 0)},{max(y, 0)}"
    return LiveSpec(kind="screen", url=url, name=name, format="x11grab", options=options)


def _limits() -> dict[str, str]:
    return {"codec_whitelist": ",".join(_DECODERS), "max_pixels": str(MAX_PIXELS)}


def _without_secrets(text: str) -> str:
    """The address without user, password and query."""
    if "://" not in text:
        return text[:80]
    parts = urlsplit(text)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))[:120]
