"""Which codecs say of a packet that no other picture leans on it, so that it may be left out."""

from __future__ import annotations

from av.video.stream import VideoStream

# Their B-frames, and H.264's pictures with nal_ref_idc 0, are never referred to (ISO/IEC 14496-10
# §7.4.1, 13818-2, 14496-2).
_CODECS = ("h264", "mpeg1video", "mpeg2video", "mpeg4")
_SPS = 33


def may_skip(stream: VideoStream) -> bool:
    """Whether the decoder leaves out pictures that nothing leans on, and no others."""
    context = stream.codec_context
    codec = context.codec.canonical_name
    if codec == "hevc":
        return has_one_layer(bytes(context.extradata or b""))
    return codec in _CODECS


def has_one_layer(extradata: bytes) -> bool:
    """Whether an HEVC stream has one temporal layer, from its hvcC box or parameter sets.

    In a stream of several, a "non-reference" picture may be referred to by a higher layer (ITU-T
    H.265 §7.4.2.2).
    """
    if extradata[:1] == b"\1" and len(extradata) > 21:
        return extradata[21] >> 3 & 7 == 1
    layers = [
        unit[2] >> 1 & 7
        for unit in extradata.split(b"\0\0\1")
        if len(unit) > 2 and unit[0] >> 1 & 0x3F == _SPS
    ]
    return bool(layers) and not any(layers)
