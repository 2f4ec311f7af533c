"""DICOM recordings as sources of exact frames: video streams, and stills shown one after another.

Used by the thread that owns the source.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from av.container import InputContainer

from app.core.errors import BadInput
from app.video.container import open_payload
from app.video.decoder import UndecodableFrame
from app.video.dicom.file import DicomFile, is_dicom, read_dicom
from app.video.dicom.payload import ELEMENTARY, raw_payload
from app.video.dicom.stills import StillsSource
from app.video.file_source import FileSource
from app.video.info import VideoInfo
from app.video.source import CACHE_BYTES, VideoSource

__all__ = ["holds_stills", "is_dicom", "open_dicom", "open_for_first_look"]

_TRIED_STILLS = 3
_RATES_DIFFER = 0.01


class DicomVideo(FileSource):
    """The video stream of a DICOM file; its header's slips are named in ``info.problems``.

    Args:
        file: the header.
        options: those of ``FileSource``.
    """

    def __init__(self, file: DicomFile, **options: Any) -> None:
        self._file = file
        self._kind = raw_payload(file).format
        super().__init__(file.path, **options)
        self._tell()

    def grow(self) -> bool:
        """Take in what is known of the file by now; see ``VideoSource.grow``."""
        grew = super().grow()
        if grew:
            self._tell()
        return grew

    def _tell(self) -> None:
        problems = _problems(
            self._file, self.info, timed=self._kind not in ELEMENTARY, whole=self.is_whole
        )
        self.info = replace(
            self.info,
            container=f"dicom/{self._kind}",
            problems=(*problems, *self.info.problems),
        )


def open_dicom(path: Path, *, cache_bytes: int = CACHE_BYTES, **options: Any) -> VideoSource:
    """Open a DICOM recording.

    Args:
        path: the file.
        cache_bytes: room for decoded frames.
        options: those of ``FileSource``.

    Raises:
        BadInput: damaged, cut off, without pictures, or of a kind that is not supported.
    """
    file = read_dicom(path)
    if file.elementary:
        return DicomVideo(file, cache_bytes=cache_bytes, **options)
    return StillsSource(file, cache_bytes=cache_bytes)


def holds_stills(path: Path) -> bool:
    """Whether a file is DICOM with pictures that need no index.

    Raises:
        BadInput: as ``open_dicom``.
    """
    return is_dicom(path) and not read_dicom(path).elementary


def open_for_first_look(path: Path) -> InputContainer | None:
    """The video in a DICOM file as it lies there; None for stills, of which one was decoded.

    Raises:
        BadInput: as ``open_dicom``; none of the first stills decodes.
    """
    file = read_dicom(path)
    if file.elementary:
        try:
            return open_payload(raw_payload(file))
        except BadInput as error:
            if not file.missing_bytes:
                raise
            raise BadInput(
                f"{path.name} is cut off: {_share(file)} % of its video is there, and what tells "
                "how to play it is not; copy it again.",
                error.detail,
            ) from error
    with StillsSource(file) as stills:
        for index in range(min(len(stills), _TRIED_STILLS)):
            try:
                stills.frame(index)
            except UndecodableFrame:
                continue
            return None
    raise BadInput(f"{path.name}: none of its first pictures can be decoded; it is damaged.")


def _problems(file: DicomFile, info: VideoInfo, *, timed: bool, whole: bool) -> Iterator[str]:
    if file.missing_bytes:
        yield f"The file is cut off: {_share(file)} % of its video is there."
    if whole and file.declared_frames and file.declared_frames != info.frames:
        yield (f"The header promises {file.declared_frames} frames; the video holds {info.frames}.")
    said = file.number("FrameTime")
    if timed and said and abs(float(1000 / said / info.frame_rate) - 1) > _RATES_DIFFER:
        yield (
            f"The header says {float(1000 / said):.3g} frames a second, the video "
            f"{float(info.frame_rate):.3g}; the video's own times are used."
        )
    elif not timed and not said and file.number("CineRate") is None:
        yield "Neither header nor video say how fast its frames follow one another."


def _share(file: DicomFile) -> int:
    there = sum(length for _, length in file.fragments)
    return 100 * there // (there + file.missing_bytes)
