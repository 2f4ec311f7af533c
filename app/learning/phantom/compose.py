"""Laying instruments over tissue: shadow, light, tissue over the tip, and their exact masks.

Pure functions on RGB float32 (H, W, 3) in 0..1.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np

from app.learning.phantom import noise
from app.learning.phantom.instruments import Instrument, Layer, Pose, lay_out


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How one instrument meets the scene, the same from frame to frame.

    `gain` is light at the tip, `gain_slope` its change per view radius towards the entry;
    lengths are shares of the frame width; `cover` is how much of the tip tissue hides.
    """

    gain: float = 1.0
    gain_slope: float = 0.0
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    blur: float = 0.0
    shadow: float = 0.0
    shadow_shift: tuple[float, float] = (0.01, 0.02)
    cover: float = 0.0
    cover_seed: int = 0


def random_look(rng: np.random.Generator, spread: float = 1.0) -> Look:
    """A look in the shares of the findings: shadow 70 %, covered tip 35 %, out of focus 10 %.

    `spread` widens how far its light and tint stray, 1 as measured on the stills.
    """
    tint = 1 + spread * rng.uniform(-0.06, 0.06, 3)
    far = rng.random() < 0.1
    return Look(
        gain=float(np.exp(rng.normal(-0.03 * spread, 0.22 * spread))),
        gain_slope=float(rng.normal(0.0, 0.35)),
        tint=tuple(float(t) for t in tint),
        blur=float(rng.uniform(0.004, 0.009)) if far else float(rng.uniform(0, 0.0022)),
        shadow=float(rng.uniform(0.15, 0.5)) if rng.random() < 0.7 else 0.0,
        shadow_shift=(float(rng.normal(0, 0.018)), float(rng.uniform(0.0, 0.035))),
        cover=float(rng.uniform(0.3, 1.3)) if rng.random() < 0.35 else 0.0,
        cover_seed=int(rng.integers(2**31)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """One instrument in a frame; `track` tells it from others of its kind."""

    instrument: Instrument
    pose: Pose
    look: Look = field(default_factory=Look)
    track: int = 0


def place_on(
    frame: np.ndarray, items: list[Placed], view: tuple[float, float, float]
) -> list[np.ndarray]:
    """Lay the items over the frame, first one undermost.

    Returns:
        For each item bool (H, W): where it shows (opacity over one half, not under a later item).
    """
    masks: list[np.ndarray] = []
    for item in items:
        layer = _layer(frame, item, view)
        mask = np.zeros(frame.shape[:2], bool)
        if layer is not None:
            window = layer.window
            alpha = layer.rgba[..., 3:]
            frame[window] *= 1 - alpha
            frame[window] += layer.rgba[..., :3]
            solid = alpha[..., 0] > 0.5
            mask[window] = solid
            for earlier in masks:
                earlier[window] &= ~solid
        masks.append(mask)
    return masks


def _layer(frame: np.ndarray, item: Placed, view) -> Layer | None:
    width = frame.shape[1]
    blur = item.look.blur * width
    layer = lay_out(item.instrument, item.pose, frame.shape[:2], margin=int(3 * blur) + 1)
    if layer is None:
        return None
    if item.look.shadow:
        _shadow_on(frame, layer, item.look)
    _light(layer, item, view)
    if item.look.cover:
        _cover(layer, item)
    if blur > 0.3:
        layer.rgba = cv2.GaussianBlur(layer.rgba, (0, 0), blur)
    return layer


def _light(layer: Layer, item: Placed, view) -> None:
    height, width = layer.rgba.shape[:2]
    look, pose = item.look, item.pose
    c, s = np.cos(pose.angle), np.sin(pose.angle)
    columns = (np.arange(width, dtype=np.float32) + (layer.x - pose.tip[0])) * c
    rows = (np.arange(height, dtype=np.float32) + (layer.y - pose.tip[1]))[:, None] * s
    radius = min(view[2], 0.5 * (width + height) + view[0])
    behind = np.clip(-(columns + rows) / radius, 0, 1.5)
    gain = np.clip(look.gain + look.gain_slope * behind, 0.25, 2.4)
    layer.rgba[..., :3] *= gain[..., None] * np.float32(look.tint)
    np.minimum(layer.rgba[..., :3], layer.rgba[..., 3:], out=layer.rgba[..., :3])


def _shadow_on(frame: np.ndarray, layer: Layer, look: Look) -> None:
    width = frame.shape[1]
    height, across = layer.rgba.shape[:2]
    small = cv2.resize(
        layer.rgba[..., 3], (max(across // 4, 1), max(height // 4, 1)), interpolation=cv2.INTER_AREA
    )
    small = cv2.GaussianBlur(small, (0, 0), max(width * 0.012 / 4, 0.6))
    soft = cv2.resize(small, (across, height))
    dx, dy = int(look.shadow_shift[0] * width), int(look.shadow_shift[1] * width)
    x0, y0 = layer.x + dx, layer.y + dy
    x1, y1 = min(x0 + across, width), min(y0 + height, frame.shape[0])
    left, top = max(x0, 0), max(y0, 0)
    if x1 <= left or y1 <= top:
        return
    piece = soft[top - y0 : y1 - y0, left - x0 : x1 - x0, None]
    frame[top:y1, left:x1] *= 1 - look.shadow * piece


def _cover(layer: Layer, item: Placed) -> None:
    pose, instrument = item.pose, item.instrument
    size = instrument.width * pose.scale
    length = max(item.look.cover * size, 4)
    half = int(length * 1.3 + size) + 2
    x0, y0 = int(pose.tip[0]) - half - layer.x, int(pose.tip[1]) - half - layer.y
    height, width = layer.rgba.shape[:2]
    left, top = max(x0, 0), max(y0, 0)
    right, bottom = min(x0 + 2 * half, width), min(y0 + 2 * half, height)
    if right <= left or bottom <= top:
        return
    field = noise.patch(np.random.default_rng(item.look.cover_seed), 2 * half, 2 * half, grain=0.3)
    field = field[top - y0 : bottom - y0, left - x0 : right - x0]
    columns = np.arange(left, right, dtype=np.float32) + (layer.x - pose.tip[0])
    rows = (np.arange(top, bottom, dtype=np.float32) + (layer.y - pose.tip[1]))[:, None]
    behind = -(columns * np.cos(pose.angle) + rows * np.sin(pose.angle)) / length
    keep = np.clip((behind + 0.9 * (field - 0.5) - 0.45) * 6, 0, 1)
    layer.rgba[top:bottom, left:right] *= keep[..., None]
