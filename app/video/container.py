"""Opens a media file under limits: allowed containers and codecs, no references, no network.

Runs on whatever thread owns the file. Every refusal is one sentence.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from app.core.errors import BadInput, EnvironmentProblem
from app.video.mp4_boxes import top_level_box
from app.video.payload import Payload

MAX_SIDE_PX = 8192
MAX_PIXELS = 40_000_000
MAX_STREAMS = 32
MAX_FRAME_RATE = 240
MAX_HOURS = 24

# FFmpeg's demuxers; playlists (hls, concat, dash) and devices are not among them.
CONTAINERS = ("mov", "matroska", "webm", "avi", "mpegts", "mpeg", "mxf", "asf", "flv", "ogg", "dv")
CODECS = (
    "h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4", "mjpeg", "vp8", "vp9", "av1", "prores",
    "dvvideo", "ffv1", "vc1", "wmv1", "wmv2", "wmv3", "h263", "h263p", "flv1", "msmpeg4v1",
    "msmpeg4v2", "msmpeg4v3", "theora", "cinepak",
)  # fmt: skip
SOUND_CODECS = (
    "aac", "ac3", "eac3", "mp2float", "mp2", "mp3float", "mp3", "opus", "vorbis", "flac", "wmav1",
    "wmav2", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_f32le", "pcm_u8",
    "pcm_alaw", "pcm_mulaw", "pcm_bluray", "pcm_dvd",
)  # fmt: skip
_DECODERS = (*CODECS, "libdav1d", "flv", "msmpeg4", "mpegvideo", *SOUND_CODECS)

# Bare streams, of which only DICOM files hold one.
_BARE = ("h264", "hevc", "mpegvideo")

_READ_FAILURES = 8
# FFmpeg reads less than that ahead of the packets that it has given.
_READ_AHEAD_BYTES = 64 << 20
_CHUNK_BYTES = 1 << 20
_ROUNDING = 1.01
# AVFMT_FLAG_NOFILLIN and AVFMT_FLAG_NOPARSE
_NO_GUESSED_TIMES = 0x10 | 0x20

log = logging.getLogger(__name__)


def open_container(path: Path) -> InputContainer:
    """Open ``path`` for reading, in place, under the limits of this module.

    Raises:
        BadInput: missing, empty, truncated, encrypted, not a video.
        EnvironmentProblem: no permission or a failing disk.
    """
    check_readable(path)
    # Here, because it opens containers itself.
    from app.video.dicom.payload import payload_in

    return _open(path, payload_in(path))


def open_payload(payload: Payload) -> InputContainer:
    """Open a recording that lies inside another file, as ``open_container`` opens a file."""
    return _open(payload.path, payload)


def _open(path: Path, payload: Payload | None) -> InputContainer:
    options = {
        "protocol_whitelist": "file",
        "format_whitelist": ",".join(CONTAINERS if payload is None else (*CONTAINERS, *_BARE)),
        "codec_whitelist": ",".join(_DECODERS),
        "max_pixels": str(MAX_PIXELS),
    }
    file = str(path.absolute()) if payload is None else payload.open()
    form = payload.format or None if payload else None
    try:
        container = av.open(file, format=form, options=options, metadata_errors="replace")
    except (av.FFmpegError, UnicodeDecodeError) as error:
        if payload is not None:
            raise BadInput(
                f"{path.name} holds a video that cannot be read: it is damaged or cut off; copy "
                "it again.",
                type(error).__name__,
            ) from error
        raise _cannot_open(path, error) from error
    if len(container.streams) > MAX_STREAMS:
        container.close()
        raise BadInput(f"{path.name} has more than {MAX_STREAMS} streams; that is no recording.")
    return container


def check_readable(path: Path) -> None:
    """Raise the sentence of a file that is missing, a folder, empty or not permitted."""
    try:
        if path.is_dir():
            raise BadInput(f"{path.name} is a folder; choose a video file in it.")
        size = path.stat().st_size
        with path.open("rb"):
            pass
    except FileNotFoundError as error:
        raise BadInput(f"{path.name}: there is no such file; choose one that exists.") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise EnvironmentProblem(
            f"{path.name} cannot be read ({reason}); check the file's permissions and its drive."
        ) from error
    if size == 0:
        raise BadInput(f"{path.name} is empty (0 bytes); copy it again from the recorder.")


def video_streams(container: InputContainer) -> list[VideoStream]:
    """The video streams of a file, without cover pictures."""
    cover = av.stream.Disposition.attached_pic
    return [s for s in container.streams.video if not s.disposition & cover]


def video_stream(container: InputContainer, path: Path, wanted: int | None = None) -> VideoStream:
    """The stream to show.

    Args:
        container: the open file.
        path: of the file, for the sentence.
        wanted: its index in the container; None for the best one that is no cover picture.

    Raises:
        BadInput: no such stream, a codec that is not supported, too large a picture.
    """
    streams = video_streams(container)
    if not streams:
        raise BadInput(f"{path.name} has no video stream; it holds sound or data alone.")
    best = container.streams.best("video")
    stream = best if best in streams else streams[0]
    if wanted is not None:
        known = {s.index: s for s in streams}
        if wanted not in known:
            numbers = ", ".join(map(str, known))
            raise BadInput(f"{path.name} has no video stream {wanted}; it has {numbers}.")
        stream = known[wanted]
    context = stream.codec_context
    codec = None if context is None else context.codec.canonical_name
    if codec not in CODECS:
        raise BadInput(
            f"{path.name}: this codec is not supported ({codec or 'unknown'}); "
            "convert the file to H.264 MP4."
        )
    check_size(context.width, context.height, path)
    return stream


def check_size(width_px: int, height_px: int, path: Path) -> None:
    """Raise BadInput for a picture over 8192 pixels a side or 40 megapixels."""
    if max(width_px, height_px) > MAX_SIDE_PX or width_px * height_px > MAX_PIXELS:
        raise BadInput(
            f"{path.name}: the picture is too large ({width_px} x {height_px}); Trocar takes up "
            f"to {MAX_SIDE_PX} pixels a side and {MAX_PIXELS // 1_000_000} megapixels."
        )


def check_claims(container: InputContainer, stream: VideoStream, path: Path) -> None:
    """Raise BadInput for a file whose headers claim what no recording is.

    Raises:
        BadInput: longer than 24 hours, over 240 frames per second, or more frames than bytes.
    """
    claims_s = [float(n) * unit for n, unit in (
        (container.duration or 0, 1e-6),
        (stream.duration or 0, float(stream.time_base or 0)),
    )]  # fmt: skip
    # FFmpeg says of some files, raw DV among them, the clock's rate for one of these.
    rates = [float(r) for r in (stream.average_rate, stream.guessed_rate) if r]
    check_extent(max(claims_s), min(rates, default=0.0), path)
    # Its table, not a number in a header, says how many frames an MP4 has.
    if container.format.name.startswith("mov") and stream.frames > path.stat().st_size:
        raise BadInput(
            f"{path.name} claims {stream.frames} frames, which it cannot hold; it is damaged."
        )


def check_extent(duration_s: float, frame_rate: float, path: Path) -> None:
    """Raise BadInput for more than 24 hours, or more than 240 frames per second."""
    if duration_s > MAX_HOURS * 3600:
        raise BadInput(
            f"{path.name} claims to be {duration_s / 3600:.0f} hours long; Trocar takes up to "
            f"{MAX_HOURS} hours."
        )
    if frame_rate > MAX_FRAME_RATE * _ROUNDING:
        raise BadInput(
            f"{path.name} claims {frame_rate:.0f} frames per second; Trocar takes up to "
            f"{MAX_FRAME_RATE}."
        )


def prepare_decoder(stream: VideoStream, threads: int = 0) -> None:
    """Set threads and the pixel limit, which a decoder does not take over from the container."""
    stream.thread_type = "AUTO"
    stream.codec_context.thread_count = threads
    stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}


def read_packets(
    container: InputContainer,
    stream: VideoStream,
    *,
    by_decode_time: bool = False,
    to_the_end_of: Path | None = None,
) -> Iterator[av.Packet[VideoStream]]:
    """Packets with content from where the container stands; reads on after damaged stretches.

    Args:
        container: the open file.
        stream: of which.
        by_decode_time: packets get their decode time as pts; without one, what follows from the
            packet before (an index that is ``by_decode_time``).
        to_the_end_of: the file; where its drive fails is not taken for its end.

    Raises:
        EnvironmentProblem: ``to_the_end_of`` is given, and its drive fails before.
    """
    # ASF holds times of decoding alone; what FFmpeg guesses from them differs after a seek.
    has_decode_times = container.format.name == "asf" and stream.type == "video"
    if has_decode_times:
        container.flags |= _NO_GUESSED_TIMES
    failures, following, position = 0, None, 0
    while failures < _READ_FAILURES:
        try:
            for packet in container.demux(stream):
                if packet.size:
                    failures, position = 0, packet.pos or position
                    if by_decode_time:
                        packet.dts = following if packet.dts is None else packet.dts
                        if packet.dts is not None:
                            following = packet.dts + (packet.duration or 0)
                    if has_decode_times or by_decode_time:
                        packet.pts = packet.dts
                    yield packet
        except av.FFmpegError as error:
            failures += 1
            log.debug("reading failed: %s", type(error).__name__)
        else:
            return
    if to_the_end_of is not None:
        _check_drive(to_the_end_of, position)


def _check_drive(path: Path, position: int) -> None:
    """Raise the sentence of a drive that fails behind ``position``.

    What FFmpeg says of it, it says of some damaged files too.
    """
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(position)
            while file.tell() < position + _READ_AHEAD_BYTES and file.read(_CHUNK_BYTES):
                pass
    except OSError as error:
        raise EnvironmentProblem(
            f"{path.name} could not be read to its end ({error.strerror}); check its drive and "
            "open it again."
        ) from error


def _cannot_open(path: Path, error: Exception) -> BadInput | EnvironmentProblem:
    detail = f"{type(error).__name__}: {getattr(error, 'strerror', '')}"
    if isinstance(error, av.error.MemoryError):
        return BadInput(
            f"{path.name} asks for more memory than a video may; it is damaged.", detail
        )
    if isinstance(error, av.error.PermissionError):
        return EnvironmentProblem(f"{path.name} may not be read; check its permissions.", detail)
    head = _head(path)
    if head[4:8] in {b"ftyp", b"mdat", b"moov", b"wide", b"free"}:
        if top_level_box(path, b"moov") is None:
            return BadInput(
                f"{path.name} is cut off: its index (the moov box) is missing, so the recording "
                "was not finished or not fully copied; copy it again.",
                detail,
            )
        return BadInput(f"{path.name} is damaged: its index cannot be read; copy it again.", detail)
    if head[:4] == b"\x1a\x45\xdf\xa3" or head[:4] == b"OggS":
        return BadInput(f"{path.name} is damaged or cut off; copy it again.", detail)
    if head.lstrip()[:7] == b"#EXTM3U" or head[:9] == b"ffconcat ":
        return BadInput(f"{path.name} is a playlist, not a video; open the files it names.", detail)
    return BadInput(f"{path.name} is not a video that Trocar can read.", detail)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(64)
