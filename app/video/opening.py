"""The door for files: a first look in a child process, then the exact source.

``open_video`` and ``probe`` run on whatever thread asks; the child holds the limits.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import av

from app.core.case import Asset, Part
from app.core.errors import BadInput, EnvironmentProblem, TrocarError
from app.video.dicom.recording import holds_stills, is_dicom, open_dicom
from app.video.file_source import FileSource
from app.video.fingerprint import full_hash, picture_hash, quick_hash
from app.video.first_look import first_look
from app.video.index import OpenCancelled, PacketIndex
from app.video.indexing import INDEXINGS, Key
from app.video.info import VideoInfo
from app.video.kept import KEPT
from app.video.record.growing import GROWING
from app.video.source import CACHE_BYTES, VideoSource
from app.video.split.joined import JoinedSource, Opener

# As many as the parts of a long operation that was split every few minutes.
_KEPT_INDICES = 48
# So long is a file looked at before it is shown without its whole index; one so large, no longer
# than until its first frames are known, since it takes longer to read through anyway.
_PATIENCE_S = 0.05
_LARGE_BYTES = 32 << 20
_POLL_S = 0.05
WORTH_KEEPING_S = 0.25
"""What opening must take for its index to be kept in a file."""


class _KnownFiles:
    """Files that this process has looked at, with the packet index of the newest of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: OrderedDict[Key, PacketIndex | None] = OrderedDict()

    def __contains__(self, key: Key) -> bool:
        with self._lock:
            return key in self._files

    def index(self, key: Key) -> PacketIndex | None:
        """The kept packet index, or None."""
        with self._lock:
            return self._files.get(key)

    def keep(self, key: Key, index: PacketIndex | None) -> None:
        """A file was looked at, or indexed."""
        with self._lock:
            self._files[key] = index
            self._files.move_to_end(key)
            for old in list(self._files)[:-_KEPT_INDICES]:
                self._files[old] = None


_known = _KnownFiles()
_looking = threading.Lock()


def open_video(
    path: Path | str,
    *,
    trusted: bool = False,
    stream: int | None = None,
    deinterlace: bool = True,
    whole: bool = True,
    cache_bytes: int = CACHE_BYTES,
    cancelled: Callable[[], bool] = lambda: False,
) -> VideoSource:
    """Open a video for exact frames; use it as a context manager from one thread at a time.

    A recording that this process is writing is opened as far as it has come.
    A file that this process has not seen is first looked at in a child process; one that it has
    seen, or whose index is kept (``keep_indices_in``), is not read through again.

    Args:
        path: the file.
        trusted: skip the first look: Trocar wrote the file itself.
        stream: index of the video stream where a file has several; None for the best one.
        deinterlace: pictures of two fields are made whole, frame for frame.
        whole: wait until all of a long file is indexed; else it may still ``grow``.
        cache_bytes: room for decoded frames.
        cancelled: asked while the file is looked at and indexed.

    Raises:
        BadInput: missing, empty, truncated, encrypted, not a video, not supported, too large.
        EnvironmentProblem: no permission, a failing disk.
        OpenCancelled: ``cancelled()`` answered true.
    """
    path = Path(path)
    if (growing := GROWING.index(path)) is not None:
        return FileSource(path, index=growing, cache_bytes=cache_bytes, cancelled=cancelled)
    opened = partial(
        _read_by,
        open_dicom if is_dicom(path) else FileSource,
        path,
        stream=stream,
        deinterlace=deinterlace,
        cache_bytes=cache_bytes,
        cancelled=cancelled,
    )
    if trusted:
        return opened()
    key = check_file(path, cancelled)
    index = _index_of_stream(key, stream)
    if index is not None or holds_stills(path):
        source: VideoSource = opened(index=index)
        has_others = sum(s.may_be_shown for s in source.info.streams) > 1
        _keep_index(key, stream, source.index, 0.0, has_others)
        return source
    share = INDEXINGS.join(
        _key_of_stream(key, stream), path, stream, partial(_keep_index, key, stream)
    )
    try:
        known = share.of.whole(cancelled) if whole else share.of.first(cancelled, _patience_s(path))
        is_whole = share.of.is_whole
        source = opened(
            index=share.of.newest if is_whole else known, growth=None if is_whole else share
        )
    except BaseException:
        share.leave()
        raise
    if is_whole:
        share.leave()
    return source


def _patience_s(path: Path) -> float:
    try:
        return 0.0 if path.stat().st_size > _LARGE_BYTES else _PATIENCE_S
    except OSError:  # taken away just now: who reads it tells
        return _PATIENCE_S


def _read_by(kind: Callable[..., VideoSource], path: Path, **options: Any) -> VideoSource:
    """A source of some kind; a drive that goes away while it is opened is a sentence."""
    try:
        return kind(path, **options)
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError | av.FFmpegError) -> EnvironmentProblem:
    """The sentence of a drive that fails, or is taken away, while a file on it is read."""
    reason = error.strerror or type(error).__name__
    return EnvironmentProblem(f"{path.name} cannot be read any more ({reason}); check its drive.")


def _keep_index(
    key: Key, stream: int | None, index: PacketIndex, seconds: float, has_others: bool
) -> None:
    """An index was built: keep it, under the stream's own key where the file has several."""
    if has_others:
        key = _key_of_stream(key, stream)
    _known.keep(key, index)
    if seconds >= WORTH_KEEPING_S:
        KEPT.write(key, index)


def _key_of_stream(key: Key, stream: int | None) -> Key:
    return key if stream is None else (f"{stream}-{key[0]}", key[1])


def _index_of_stream(key: Key, stream: int | None) -> PacketIndex | None:
    """The known index of a file, or of one of its video streams."""
    index = _known.index(key) or KEPT.read(key)
    if stream is None or (index is not None and index.stream == stream):
        return index
    key = _key_of_stream(key, stream)
    return _known.index(key) or KEPT.read(key)


def check_file(path: Path, cancelled: Callable[[], bool] = lambda: False) -> Key:
    """Let a child process look at a file that this process has not seen; returns its key.

    Raises:
        BadInput, EnvironmentProblem, OpenCancelled: as ``open_video``.
    """
    quick = quick_hash(path)
    try:
        key = (quick, path.stat().st_mtime_ns)
    except OSError as error:
        raise EnvironmentProblem(
            f"{path.name} was taken away just now ({error.strerror}); check its drive."
        ) from error
    # One after the other: two who want the same file send one child.
    while not _looking.acquire(timeout=_POLL_S):
        if cancelled():
            raise OpenCancelled
    try:
        if key not in _known:
            first_look(path, cancelled)
            _known.keep(key, None)
    finally:
        _looking.release()
    return key


def open_recording(
    asset: Asset,
    *,
    missing_ok: bool = False,
    whole: bool = True,
    cache_bytes: int = CACHE_BYTES,
    cancelled: Callable[[], bool] = lambda: False,
) -> VideoSource:
    """A case's own recording, as ``open_video`` opens a file; its pts are those of the asset.

    Args:
        asset: the recording.
        missing_ok: open what is there of a split recording; frames of a missing part raise
            ``UndecodableFrame``.
        whole: as ``open_video``; a split recording is always whole.
        cache_bytes: room for decoded frames, of all its files together.
        cancelled: asked while files are looked at and indexed.

    Raises:
        BadInput: it is not where it was, or another file lies in its place; as ``open_video``.
        EnvironmentProblem, OpenCancelled: as ``open_video``.
    """
    if not asset.has_recording:
        raise BadInput("This case has labels alone and no recording.")
    problems = {i: why for i, file in enumerate(asset.files) if (why := not_there(file))}
    if problems and (not missing_ok or len(problems) == len(asset.files)):
        raise BadInput(next(iter(problems.values())))
    if not asset.parts:
        return open_video(
            asset.path,
            stream=asset.stream,
            whole=whole,
            cache_bytes=cache_bytes,
            cancelled=cancelled,
        )
    opener = Opener(open=_open_part, known_index=_known_index)
    return JoinedSource(
        asset, opener, missing=problems, cache_bytes=cache_bytes, cancelled=cancelled
    )


def open_source(
    recording: Path | str | Asset,
    *,
    cache_bytes: int = CACHE_BYTES,
    cancelled: Callable[[], bool] = lambda: False,
) -> VideoSource:
    """A file, or what is there of a case's recording: what is opened to be looked at.

    A long file that is not indexed yet is open at once, and grows.

    Raises:
        BadInput, EnvironmentProblem, OpenCancelled: as ``open_video``.
    """
    if isinstance(recording, Asset):
        return open_recording(
            recording,
            missing_ok=True,
            whole=False,
            cache_bytes=cache_bytes,
            cancelled=cancelled,
        )
    return open_video(recording, whole=False, cache_bytes=cache_bytes, cancelled=cancelled)


def not_there(file: Part) -> str:
    """Why a file of a recording is not where it was, in a sentence; "" where it is."""
    path = Path(file.path)
    is_growing = GROWING.is_growing(path)
    if not file.quick_hash and not is_growing:
        return _not_whole(path)
    if not path.is_file():
        return (
            f"The recording {path.name} is not where it was; put it back, or find it with "
            "“trocar relink” or in the window."
        )
    if is_growing:
        return ""
    try:
        same = quick_hash(path) == file.quick_hash
    except TrocarError as error:
        return error.user_message
    if same:
        return ""
    return (
        f"{path.name} is not the recording that this case was made from: another file has taken "
        "its place; put the original back."
    )


def _not_whole(path: Path) -> str:
    """Of a live recording that another process writes, or that a crash interrupted."""
    if path.is_file():
        return (
            f"The live recording {path.name} is not whole yet: it is still being recorded, or was "
            "interrupted; then Trocar completes it at its next start, or “trocar record --recover”."
        )
    return (
        f"The live recording {path.name} was interrupted, and its file is not where it was; put it "
        "back, then “trocar record --recover” completes it."
    )


def fingerprinted(file: Part, cancelled: Callable[[], bool] = lambda: False) -> Part | None:
    """A file with its full hash and pictures; None where it has them, went, or was cancelled.

    Raises:
        BadInput, EnvironmentProblem: it cannot be read to its end.
    """
    if (file.sha256 and file.pictures) or _is_in_doubt(file):
        return None
    sha256 = file.sha256 or full_hash(file.path, cancelled=cancelled)
    try:
        with open_video(file.path, stream=file.stream, cancelled=cancelled) as source:
            pictures = file.pictures or picture_hash(source, cancelled)
    except OpenCancelled:
        return None
    # While it was read, another file may have taken its place.
    if not (sha256 and pictures) or _is_in_doubt(file):
        return None
    return replace(file, sha256=sha256, pictures=pictures)


def _is_in_doubt(file: Part) -> bool:
    """Whether a file is not there, or being written."""
    return bool(not_there(file)) or GROWING.is_growing(Path(file.path))


def _open_part(part: Part, cache_bytes: int, cancelled: Callable[[], bool]) -> VideoSource:
    return open_video(part.path, stream=part.stream, cache_bytes=cache_bytes, cancelled=cancelled)


def _known_index(part: Part) -> PacketIndex | None:
    try:
        key = (part.quick_hash, Path(part.path).stat().st_mtime_ns)
    except OSError:  # it goes just now; opening it says so
        return None
    return _index_of_stream(key, part.stream)


def probe(path: Path | str) -> VideoInfo:
    """What a file holds, after a first look in a child process.

    Raises:
        BadInput, EnvironmentProblem: as ``open_video``.
    """
    with open_video(path) as source:
        return source.info
