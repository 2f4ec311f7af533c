"""What a live source is called, and how FFmpeg opens it: one allow-list per kind of source.

Nothing is opened but what the user named: no other protocol, no playlist, no reference.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit, urlunsplit

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
_KEYED = ("rtmp", "rtmps")
"""Their addresses end in the stream key: whoever has it may send, or watch."""
_ASSIGNED = frozenset("=&;")
_NO_HOST = frozenset("=&;, \\")
UNSAID = "…"
"""Stands in a name for what may be secret."""
_NAME_LENGTH = 120
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
        name: for people; without user, password, stream key and query.
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
        parts = _split(text)
        if kind in _NETWORK and parts is not None and parts.netloc:
            return _network(kind, text, parts)
    raise BadInput(
        f"“{_begin_of(text)}” is no live source that Trocar knows; name one that begins "
        f"with one of {KINDS}, such as rtsp://192.168.0.20/stream or device:NAME."
    )


def _network(kind: str, text: str, parts: SplitResult) -> LiveSpec:
    if not _is_whole(parts):
        raise BadInput(
            f"This {kind} address names no host and port that there are; write it as "
            f"{kind}://HOST:PORT, and /, ?, # and @ of a password as %2F, %3F, %23 and %40."
        )
    if kind in ("udp", "tcp", "srt") and parts.port is None:
        raise BadInput(f"{safe_address(text)} names no port; write it as {kind}://HOST:PORT.")
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
        name=safe_address(text)[:_NAME_LENGTH],
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


def safe_address(text: str) -> str:
    """An address as it may be shown, logged and stored.

    Without user and password, query, the stream key of RTMP, and what an RTSP path assigns
    (``/user=…&password=…``).
    """
    kind, _, rest = text.strip().partition("://")
    kind = kind.lower()
    parts = _split(text)
    # An @ behind the host may end a password that holds a /, ? or #: where it begins is not known.
    if parts is None or not _is_whole(parts) or "@" in rest.removeprefix(parts.netloc):
        return f"{kind}://{UNSAID}"
    path = parts.path
    if kind in _KEYED:
        # An application and a key; one word alone may be either.
        path = "/".join(path.split("/")[:2]) if path.strip("/").count("/") else ""
    segments = path.split("/")
    assigns = [n for n, part in enumerate(segments) if _ASSIGNED & set(unquote(part))]
    if assigns:
        path = "/".join([*segments[: assigns[0]], UNSAID])
    return urlunsplit((kind, parts.netloc.rpartition("@")[2], path, "", ""))


def _begin_of(text: str) -> str:
    """Of what is no source: as much as can hold no secret."""
    kind, is_address, _ = text.partition("://")
    if is_address:
        return f"{kind[:_NAME_LENGTH]}://{UNSAID}"
    word = re.split(r"[:/?=&;\s]", text, maxsplit=1)[0]
    if "@" in text:
        return UNSAID
    return text[:_NAME_LENGTH] if word == text else f"{word[:_NAME_LENGTH]}{UNSAID}"


def _is_whole(parts: SplitResult) -> bool:
    """Whether what should be host and port is that, and no piece of a password or a key."""
    host = parts.netloc.rpartition("@")[2]
    try:
        return bool(parts.hostname) and (parts.port or 0) >= 0 and not _NO_HOST & set(host)
    except ValueError:
        return False


def _split(text: str) -> SplitResult | None:
    try:
        return urlsplit(text.strip())
    except ValueError:
        # Its words name the address.
        return None
