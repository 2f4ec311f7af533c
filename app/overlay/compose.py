"""Instances drawn into a premultiplied raster that the window lays over the frame.

Runs on the overlay thread and in exports. Only the region of an instance is touched, and of an
outline only its pixels: a box filter over the mask tells how far each pixel is from the edge, and
one look-up table turns that into halo, line and fill with soft edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil

import cv2
import numpy as np
from numpy.typing import NDArray

from app.core.mask import Mask
from app.overlay.labels import draw_labels
from app.overlay.shown import ShownInstance
from app.overlay.style import RGB, Dial, OverlayStyle

_DASH_PX = 7
_BLUE, _GREEN, _RED, _ALPHA = range(4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The outline of one instance: its colour, and whether the line is broken."""

    colour: RGB
    dashed: bool = False


def compose(
    instances: Sequence[ShownInstance],
    size_px: tuple[int, int],
    style: OverlayStyle,
    looks: Sequence[Look] | None = None,
) -> NDArray[np.uint8]:
    """Draw instances.

    Args:
        instances: what to draw; the first lies on top.
        size_px: width and height of the result; masks are scaled to it from their raster, so an
            overlay for a small window costs what the window shows.
        style: colours and how much to draw.
        looks: one per instance, where more are on the frame than are drawn here; else they follow
            from the instances.

    Returns:
        uint8 (height, width, 4), premultiplied, blue first (QImage's ARGB32_Premultiplied).
    """
    width, height = size_px
    words = np.zeros((height, width), "<u4")
    if looks is None:
        looks = looks_of(instances, style)
    drawn = [(i, k) for i, k in zip(instances, looks, strict=True) if i.mask.bits.size]
    if style.dial > Dial.NOTHING:
        fill = style.fill if style.dial >= Dial.FILL else 0.0
        for instance, look in reversed(drawn):
            _draw(words, instance, look, style, fill)
    bgra = words.view(np.uint8).reshape(height, width, 4)
    if style.dial >= Dial.LABELS:
        draw_labels(bgra, [i for i, _ in drawn], style)
    return bgra


def looks_of(instances: Sequence[ShownInstance], style: OverlayStyle) -> tuple[Look, ...]:
    """How the outlines of one frame are told apart.

    A track's number gives its colour, without one its place among what the model said, so that
    no decision recolours another outline. Of two that meet on one colour the earlier keeps it;
    the later one, and then what was drawn, takes the lowest that is free. Lines are broken only
    where all colours are in use.

    Args:
        instances: everything on the frame, masks without pixels included.
        style: names the colours.

    Returns:
        One look per instance, in their order.
    """
    count = len(style.outlines)
    slots: dict[int, int] = {}
    tracked = [p for p, i in enumerate(instances) if i.track is not None]
    tracked.sort(key=lambda p: instances[p].track or 0)
    untracked = [p for p, i in enumerate(instances) if i.track is None and i.mask.bits.size]
    said = [p for p in untracked if instances[p].source is not None]
    said.sort(key=lambda p: _place(instances[p]) or 0)
    drawn = [p for p in untracked if instances[p].source is None]
    for place in tracked + said + drawn:
        wanted = _place(instances[place])
        slot = None if wanted is None else wanted % count
        if slot is None or slot in slots.values():
            slot = next(s for s in range(len(slots) + 1) if s not in slots.values())
        slots[place] = slot
    return tuple(
        Look(
            colour=style.outlines[slots.get(p, 0) % count],
            dashed=(slots.get(p, 0) // count) % 2 == 1,
        )
        for p in range(len(instances))
    )


def area_looks(areas: Sequence[ShownInstance], style: OverlayStyle) -> tuple[Look, ...]:
    """How semantic areas are drawn: by the colour of their class, always with a broken line.

    Args:
        areas: their tracks are the numbers of their classes.
        style: names the colours; the last is the first class's, since tracks begin at the front.
    """
    count = len(style.outlines)
    return tuple(
        Look(colour=style.outlines[-((a.track or 1) - 1) % count - 1], dashed=True) for a in areas
    )


def _place(shown: ShownInstance) -> int | None:
    if shown.track is not None:
        return shown.track - 1
    return None if shown.source is None else shown.source.instance


def _draw(
    words: NDArray[np.uint32],
    instance: ShownInstance,
    look: Look,
    style: OverlayStyle,
    fill: float,
) -> None:
    height, width = words.shape
    inside, x, y = scaled_bits(instance.mask, (width, height))
    if not inside.size:
        return
    reach = ceil(style.outline_px / 2 + style.halo_px)
    h, w = inside.shape
    left, top = max(0, x - reach), max(0, y - reach)
    right, bottom = min(width, x + w + reach), min(height, y + h + reach)
    padded = cv2.copyMakeBorder(
        inside, y - top, bottom - y - h, x - left, right - x - w, cv2.BORDER_CONSTANT, value=0
    )
    # Replicating the rim draws no line where an instrument leaves the picture.
    near = cv2.blur(padded, (2 * reach + 1,) * 2, borderType=cv2.BORDER_REPLICATE)
    region = words[top:bottom, left:right]
    table = _table(look.colour, style, fill)
    if fill:
        np.copyto(region, table[255], where=near == 255)
    edge = (near - np.uint8(1)) < 254
    if look.dashed:
        edge &= _dashes(left, top, edge.shape)
    region[edge] = table[near[edge]]


def scaled_bits(mask: Mask, size_px: tuple[int, int]) -> tuple[NDArray[np.uint8], int, int]:
    """A mask's region in another raster.

    Returns:
        uint8 (h, w), 0 to 255 coverage, and its left and top edge in the new raster.
    """
    inside = np.multiply(mask.bits, 255, dtype=np.uint8)
    width, height = size_px
    if (mask.width_px, mask.height_px) == (width, height):
        return inside, mask.x_px, mask.y_px
    fx, fy = width / mask.width_px, height / mask.height_px
    x0, y0, x1, y1 = mask.box
    left, top = min(round(x0 * fx), width - 1), min(round(y0 * fy), height - 1)
    w = max(1, min(round(x1 * fx), width) - left)
    h = max(1, min(round(y1 * fy), height) - top)
    # Averaging by an odd factor costs five times a bilinear look-up (measured).
    method = cv2.INTER_AREA if fx <= 0.5 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(inside, (w, h), interpolation=method), np.uint8), left, top


def _dashes(left: int, top: int, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    rows = (np.arange(top, top + shape[0]) // _DASH_PX) & 1
    columns = (np.arange(left, left + shape[1]) // _DASH_PX) & 1
    return rows[:, None] != columns


@lru_cache(maxsize=64)
def _table(colour: RGB, style: OverlayStyle, fill: float) -> NDArray[np.uint32]:
    """Premultiplied words for the 256 values of the box filter.

    The share of the filter's window that is inside falls linearly with the distance from a
    straight edge: 0.5 on the edge, 1 at ``reach + 0.5`` pixels inside.
    """
    half_line = style.outline_px / 2
    reach = half_line + style.halo_px
    share = np.arange(256) / 255
    distance_px = np.abs(share - 0.5) * (2 * ceil(reach) + 1)
    line = np.clip(half_line + 0.5 - distance_px, 0, 1)
    halo = np.clip(reach + 0.5 - distance_px, 0, 1) * style.halo_alpha
    inner = np.where(share > 0.5, fill, 0.0)
    premultiplied = np.zeros((256, 4))
    for rgb, alpha in ((colour, inner), (style.halo, halo), (colour, line)):
        premultiplied *= 1 - alpha[:, None]
        premultiplied[:, _ALPHA] += 255 * alpha
        for channel, value in zip((_RED, _GREEN, _BLUE), rgb, strict=True):
            premultiplied[:, channel] += value * alpha
    table = np.rint(premultiplied).astype(np.uint8).view("<u4").ravel()
    table.setflags(write=False)
    return table
