"""The packet index of a split recording, from those of its files. Any thread.

Every frame's own pts maps to one of the recording by whole numbers, or by the stored steps.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.core.case import Part
from app.core.errors import BadInput
from app.core.recording import Raster
from app.video.fingerprint import unpack_steps
from app.video.index import PacketIndex


def placed_index(own: PacketIndex, place: Part, time_base: Fraction) -> PacketIndex:
    """A file's packet index with the pts that its frames have in the asset.

    Raises:
        BadInput: the file does not fit its place.
    """
    name = Path(place.path).name
    unit = place.time_base / time_base
    if place.follows_steps:
        pts = unpack_steps(place.first_pts, place.steps)
        if len(pts) != len(own):
            raise BadInput(f"{name} has {len(own)} frames where {len(pts)} were; relink it.")
        dts = pts
    else:
        pts = place.first_pts + scaled(own.pts - place.start_pts, unit)
        dts = place.first_pts + scaled(own.dts - place.start_pts, unit)
    if not len(pts) or pts[0] < place.first_pts or pts[-1] >= place.end_pts:
        raise BadInput(f"{name} does not fit its place in this recording any more; join it again.")
    last, sizes = place.end_pts - int(pts[-1]), own.sizes.copy()
    sizes[:, 0] = pts[np.searchsorted(own.pts, sizes[:, 0])]
    return replace(own, pts=pts, label=pts, dts=dts, last_duration=last, sizes=sizes)


def scaled(own: NDArray[np.int64], unit: Fraction) -> NDArray[np.int64]:
    """``own * unit`` in whole numbers; exact wherever the product is whole."""
    return own * unit.numerator // unit.denominator


def rasters_of(parts: tuple[Part, ...], sizes: list[NDArray[np.int64]]) -> tuple[Raster, ...]:
    """Where the picture changes its size, from part to part and within one; else nothing."""
    out: list[Raster] = []
    for part, inside in zip(parts, sizes, strict=True):
        sides = (part.width_px, part.height_px)
        # Sizes are counted in stored pixels, a part's raster is upright.
        turned = bool(len(inside)) and tuple(inside[0, 1:]) == sides[::-1] != sides
        changes = inside[1:, [0, 2, 1] if turned else [0, 1, 2]].tolist()
        for first_pts, width, height in ([part.first_pts, *sides], *changes):
            if not out or (out[-1].width_px, out[-1].height_px) != (width, height):
                out.append(Raster(first_pts=first_pts, width_px=width, height_px=height))
    return tuple(out) if len(out) > 1 else ()


def index_of_missing(place: Part) -> PacketIndex:
    """The index of a part whose file is not there: its frames' times, and no keyframe."""
    if place.steps:
        pts = unpack_steps(place.first_pts, place.steps)
    else:
        even = np.linspace(place.first_pts, place.end_pts, place.frames, endpoint=False)
        pts = even.astype(np.int64)
    return PacketIndex(
        pts=pts,
        label=pts,
        dts=pts,
        key=np.zeros(len(pts), bool),
        last_duration=place.end_pts - int(pts[-1]),
    )


def joined_index(parts: list[PacketIndex]) -> PacketIndex:
    """The indices of parts, placed in the recording's time, as one."""
    pts = np.concatenate([p.pts for p in parts])
    return PacketIndex(
        pts=pts,
        label=pts,
        dts=np.concatenate([p.dts for p in parts]),
        key=np.concatenate([p.key for p in parts]),
        last_duration=parts[-1].last_duration,
        doubled=sum(p.doubled for p in parts),
        timeless=sum(p.timeless for p in parts),
    )
