"""Which FFmpeg decodes here."""

from __future__ import annotations

import av


def ffmpeg_version() -> str:
    """FFmpeg's own version, as bundled with PyAV."""
    return str(av.ffmpeg_version_info)
