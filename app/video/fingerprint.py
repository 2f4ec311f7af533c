"""Fingerprints by which a moved or renamed recording is known again. Runs on any thread."""

from __future__ import annotations

import base64
import hashlib
import os
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.core.case import Asset
from app.core.errors import BadInput, EnvironmentProblem
from app.video.container import check_readable
from app.video.decoder import UndecodableFrame
from app.video.source import VideoSource

_EDGE_BYTES = 1 << 20
_CHUNK_BYTES = 1 << 22
_PICTURES = 9
_TELLING_PICTURES = 3
STILL = "still"
"""The fingerprint of pictures too alike to tell one recording from another."""


def quick_hash(path: Path | str) -> str:
    """SHA-256 over a file's size, first and last MiB: known at once for a file of any size."""
    path = Path(path)
    check_readable(path)
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            digest = hashlib.sha256(size.to_bytes(8, "big"))
            for start in (0, max(0, size - _EDGE_BYTES)):
                file.seek(start)
                digest.update(file.read(_EDGE_BYTES))
    except OSError as error:
        raise _unreadable(path, error) from error
    return digest.hexdigest()


def full_hash(
    path: Path | str,
    progress: Callable[[float], None] = lambda _share: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> str:
    """SHA-256 of a whole file, or "" when cancelled.

    Args:
        path: the file.
        progress: called with the share done, 0 to 1.
        cancelled: asked after each 4 MiB.

    Raises:
        EnvironmentProblem: the file cannot be read to its end.
    """
    path = Path(path)
    check_readable(path)
    digest, done = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            while chunk := file.read(_CHUNK_BYTES):
                if cancelled():
                    return ""
                digest.update(chunk)
                done += len(chunk)
                progress(min(1.0, done / size))
    except OSError as error:
        raise _unreadable(path, error) from error
    return digest.hexdigest()


def _unreadable(path: Path, error: OSError) -> EnvironmentProblem:
    return EnvironmentProblem(
        f"{path.name} could not be read to its end ({error.strerror}); check its drive."
    )


def joined_hash(hashes: Sequence[str]) -> str:
    """The quick hash of a recording of several files, from theirs in order; of one, its own."""
    if len(hashes) == 1:
        return hashes[0]
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


def picture_hash(source: VideoSource, cancelled: Callable[[], bool] = lambda: False) -> str:
    """SHA-256 over nine pictures spread over a file, as its decoder makes them.

    The same before and after a remux or the finalising of a file, whose bytes differ; another
    after a cut or another encoding.

    Returns:
        ``STILL`` where the pictures are too alike to tell anything, "" when cancelled.
    """
    hashes = []
    for index in np.linspace(0, len(source) - 1, _PICTURES).round().astype(int).tolist():
        if cancelled():
            return ""
        try:
            hashes.append(source.decoded_hash(index))
        except UndecodableFrame:
            hashes.append(b"lost")
    if len(set(hashes)) < min(_TELLING_PICTURES, len(source)):
        return STILL
    return hashlib.sha256(len(source).to_bytes(8, "big") + b"".join(hashes)).hexdigest()


def pack_steps(pts: NDArray[np.int64]) -> str:
    """The steps between frames, ascending pts int64 (N,), as a short text."""
    return base64.b85encode(zlib.compress(np.diff(pts).astype("<i8").tobytes(), 9)).decode()


def unpack_steps(first_pts: int, steps: str) -> NDArray[np.int64]:
    """The pts, int64 (N,), of frames from the first one's and what ``pack_steps`` made.

    Raises:
        BadInput: the text is damaged.
    """
    try:
        found = np.frombuffer(zlib.decompress(base64.b85decode(steps)), "<i8")
    except (ValueError, zlib.error) as error:
        raise BadInput("The stored times of this recording are damaged.", str(error)) from error
    return first_pts + np.concatenate([[0], np.cumsum(found)]).astype(np.int64)


def describe_asset(
    path: Path | str,
    asset_id: str,
    source: VideoSource | None = None,
    stream: int | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Asset:
    """The recording at ``path`` as an asset, without its full hash.

    Args:
        path: the video file.
        asset_id: its id for life.
        source: the file where it is open already.
        stream: which of several video streams, None for the best one.
        cancelled: asked while the file is looked at and indexed.

    Raises:
        BadInput, EnvironmentProblem, OpenCancelled: as ``open_video``.
    """
    from app.video.opening import open_video

    path = Path(path)
    if source is None:
        with open_video(path, stream=stream, cancelled=cancelled) as opened:
            return describe_asset(path, asset_id, opened)
    info = source.info
    return Asset(
        asset_id=asset_id,
        path=str(path.absolute()),
        quick_hash=quick_hash(path),
        stream=info.stream,
        time_base=info.time_base,
        start_pts=info.start_pts,
        end_pts=info.end_pts,
        frames=info.frames,
        width_px=info.width_px,
        height_px=info.height_px,
        codec=info.codec,
        steps=pack_steps(source.index.pts),
    )
