"""Real instruments cut out of the labelled stills, with a shaft long enough to be moved.

A cut-out ends where the view ended, so its shaft is continued beyond that end with its own
mirrored picture; the end can then never come into view. Pure functions, cached per process.
"""

import functools

import cv2
import numpy as np

from app.learning.phantom import material
from app.learning.phantom.instruments import Instrument, Part, mip

SHAFT_LENGTH_PX = 1150
# Judged by eye: the wrong end in view, cut by another instrument, or too blurred to be told.
UNFIT = {
    ("00002-22975-frame-15258", 0),
    ("00006-23107-frame-11328", 0),
    ("00007-23156-frame-25840", 1),
    ("00011-23317-frame-30780", 0),
    ("00011-23317-frame-38475", 0),
    ("00011-23317-frame-38475", 1),
    ("00011-23317-frame-46170", 1),
    ("00011-23317-frame-107730", 1),
    ("00015-23925-frame-19329", 1),
    ("00015-23925-frame-77316", 0),
    ("00015-23925-frame-77316", 1),
    ("00015-23925-frame-83759", 0),
    ("00021-24968-frame-26712", 2),
    ("00021-24968-frame-28938", 1),
    ("00022-24972-frame-12229", 0),
    ("00022-24972-frame-12229", 1),
    ("00022-24972-frame-15723", 0),
    ("00022-24972-frame-15723", 1),
    ("00022-24972-frame-24458", 1),
}


@functools.cache
def cutouts() -> tuple[Instrument, ...]:
    """All instruments cut out of the traced stills, in pixels of the 960x540 stills."""
    found = []
    for still in material.stills_for("labelled") + material.stills_for("zoned"):
        for number, polygon in enumerate(still.polygons):
            if polygon.key != "ignore" and (still.name, number) not in UNFIT:
                cut = cut_out(still, polygon)
                if cut is not None:
                    found.append(cut)
    return tuple(found)


def cut_out(still: material.Still, polygon: material.Polygon) -> Instrument | None:
    """Cut one instrument out along its polygon; None where it does not come from the rim."""
    points = polygon.points
    at_rim = _at_rim(points, still.view)
    if at_rim.sum() < 2 or at_rim.all():
        return None
    entry = points[at_rim].mean(0)
    mask = material.polygon_mask(points)
    ys, xs = np.nonzero(mask > 127)
    pixels = np.column_stack([xs, ys]).astype(np.float32)
    axis = np.linalg.eigh(np.cov((pixels - pixels.mean(0)).T))[1][:, -1]
    if axis @ (pixels.mean(0) - entry) < 0:
        axis = -axis
    along = (points - entry) @ axis
    tip_along = float(along.max())
    cut_along = float(along[at_rim].max()) + 9
    if tip_along - cut_along < 45:
        return None
    centre = np.array([-axis[1], axis[0]])
    across = (pixels - entry) @ centre
    low, high = float(across.min()) - 6, float(across.max()) + 6
    size = (int(tip_along - cut_along) + 6, int(high - low))
    origin = entry + axis * cut_along + centre * low
    matrix = np.column_stack([axis, centre, origin])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    rgb = cv2.warpAffine(
        material.picture(still.name), matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    soft = cv2.GaussianBlur(mask.astype(np.float32) / 255, (0, 0), 1.3)
    alpha = np.clip((cv2.warpAffine(soft, matrix, size, flags=flags) - 0.42) / 0.5, 0, 1)
    return _assemble(polygon.key, rgb, alpha)


def _at_rim(points: np.ndarray, view: tuple[float, float, float]) -> np.ndarray:
    x, y, radius = view
    height, width = material.MATERIAL_SIZE
    away = np.hypot(points[:, 0] - x, points[:, 1] - y)
    at_rim = away > radius - 22
    at_rim |= (points[:, 0] < 6) | (points[:, 0] > width - 7)
    return at_rim | (points[:, 1] < 6) | (points[:, 1] > height - 7)


def _assemble(key: str, rgb: np.ndarray, alpha: np.ndarray) -> Instrument | None:
    length = alpha.shape[1]
    solid = alpha > 0.5
    filled = solid.sum(0) > 3
    if filled[:10].sum() < 8:
        return None
    upper = np.where(filled, solid.argmax(0), 0)
    lower = np.where(filled, alpha.shape[0] - solid[::-1].argmax(0), 0)
    shaft = int(np.clip(0.42 * length, 24, 260))
    columns = np.arange(shaft)[filled[:shaft]]
    width = float(np.median((lower - upper)[columns]))
    grow_upper, at_upper = np.polyfit(columns, upper[columns], 1)
    grow_lower, at_lower = np.polyfit(columns, lower[columns], 1)
    middle = (grow_upper + grow_lower) / 2
    taper = float(np.clip((grow_lower - grow_upper) / 2, -0.09, 0.01))
    extra = SHAFT_LENGTH_PX - length
    pad = int(abs(middle) * extra + abs(taper) * extra) + 8
    rgba = np.dstack([rgb, np.round(alpha * 255).astype(np.uint8)])
    rgba = cv2.copyMakeBorder(rgba, pad, pad, 0, 0, cv2.BORDER_REPLICATE)
    rgba[:pad, :, 3] = 0
    rgba[-pad:, :, 3] = 0
    back = np.arange(-extra, 0, dtype=np.float32)
    period = 2 * (shaft - 1)
    folded = np.abs((-back) % period)
    source = np.minimum(folded, period - folded)
    centre_to = (at_upper + at_lower) / 2 + pad + middle * back
    half_to = np.clip((at_lower - at_upper) / 2 + taper * back, 0.35 * width, 0.95 * width)
    every = np.arange(shaft)
    centre_at = np.interp(every, columns, ((upper + lower) / 2)[columns]) + pad
    half_at = np.interp(every, columns, ((lower - upper) / 2)[columns])
    centre_from = np.interp(source, every, centre_at)
    half_from = np.maximum(np.interp(source, every, half_at), 2)
    rows = np.arange(rgba.shape[0], dtype=np.float32)[:, None]
    relative = (rows - centre_to) / half_to
    map_y = (centre_from + relative * half_from).astype(np.float32)
    map_x = np.broadcast_to(source.astype(np.float32), map_y.shape).copy()
    shaft_picture = cv2.remap(rgba, map_x, map_y, cv2.INTER_LINEAR)
    whole = np.concatenate([shaft_picture, rgba], axis=1)
    rows_used = np.nonzero(whole[..., 3].max(1) > 8)[0]
    top, bottom = rows_used[0], rows_used[-1] + 1
    whole = whole[top:bottom]
    premultiplied = whole.copy()
    premultiplied[..., :3] = np.round(whole[..., :3] * (whole[..., 3:] / 255.0))
    tip_column = int(np.nonzero(whole[..., 3].max(0) > 127)[0][-1])
    tip_rows = np.nonzero(whole[:, tip_column - 2, 3] > 127)[0]
    tip_row = float(tip_rows.mean()) if len(tip_rows) else whole.shape[0] / 2
    part = Part(levels=mip(premultiplied), pivot=(float(tip_column), tip_row))
    return Instrument(key=key, parts=(part,), reach=0.0, width=width, real=True)
