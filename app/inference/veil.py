"""The smoke over a picture as light that is added and light that is lost, at the picture's size.

Smoke shows the scope's own light and dims what lies behind: shown = clear x (1 - t) + t x tone. So
``clear = (shown - added) x gain`` with maps of low frequency, found once at a small size and good
for every picture until the smoke or the scene has moved on. No torch; any thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

RADIUS_SHARE = 1 / 40
"""Half the window in which smoke is taken for even, of the small picture's longer side."""
_FLAT = 16.0
"""Variance (of 255 squared) below which a patch has no contrast of its own: it is only shifted."""
MOST_GAIN, LEAST_GAIN = 4.0, 0.5
_CELLS = (18, 32)
_ANOTHER_SCENE = 26.0
"""Mean difference (of 255) over coarse cells above which the picture is another one."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Veil:
    """What smoke did to a picture.

    Attributes:
        added: uint8 (H, W, 3), the smoke's own light.
        gain: uint8 (H, W, 3), how much is to be made up for, in units of ``step``.
        step: of ``gain``.
        scene: float32 (18, 32, 3), the smoky picture it was found on, coarse.
    """

    added: Picture
    gain: Picture
    step: float
    scene: NDArray[np.float32]

    def lift(self, rgb: Picture) -> Picture:
        """A new picture without the veil, of the raster it was made for: 2 ms at 1920 x 1080.

        Args:
            rgb: uint8 (H, W, 3); left alone.
        """
        behind = cv2.subtract(rgb, self.added)
        return np.asarray(cv2.multiply(behind, self.gain, dst=behind, scale=self.step), np.uint8)

    def fits(self, rgb: Picture) -> bool:
        """Whether a picture shows the same scene, of the same raster."""
        if rgb.shape != self.added.shape:
            return False
        return float(np.abs(coarse(rgb) - self.scene).mean()) < _ANOTHER_SCENE


def coarse(rgb: Picture) -> NDArray[np.float32]:
    """A picture's few colours, float32 (18, 32, 3), from sparse pixels: 0.1 ms."""
    high, wide = rgb.shape[:2]
    sparse = rgb[:: max(1, high // 90), :: max(1, wide // 160)].astype(np.float32)
    return np.asarray(cv2.resize(sparse, _CELLS[::-1], interpolation=cv2.INTER_AREA), np.float32)


def find_veil(smoky: NDArray[np.float32], clear: NDArray[np.float32], rgb: Picture) -> Veil:
    """The veil between a small picture and what a network made of it.

    In every window the clear picture is a line through the smoky one, by least squares (He 2013,
    guided image filtering, equations 5 and 6); where the window is flat, a shift alone.

    Args:
        smoky: float32 (h, w, 3) in 0 to 255, the picture at the network's size.
        clear: float32 (h, w, 3) in 0 to 255, its answer.
        rgb: uint8 (H, W, 3), the picture itself.
    """
    side = 2 * round(RADIUS_SHARE * max(smoky.shape[:2])) + 1

    def mean(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(cv2.blur(values, (side, side)), np.float32)

    shown, bare = mean(smoky), mean(clear)
    own = mean(smoky * smoky) - shown * shown
    shared = mean(smoky * clear) - shown * bare
    gain = np.clip((shared + _FLAT) / (own + _FLAT), LEAST_GAIN, MOST_GAIN)
    added = shown - bare / gain
    # Smoke adds light, it takes none away: what a network brightens is made up for by the gain.
    dimmed = added < 0
    added = np.where(dimmed, 0, added)
    gain = np.where(dimmed, np.clip(bare / np.maximum(shown, 1), LEAST_GAIN, MOST_GAIN), gain)
    added, gain = mean(added), mean(gain)
    step = float(gain.max()) / 255
    size = rgb.shape[1], rgb.shape[0]
    return Veil(
        added=_as_bytes(added, size), gain=_as_bytes(gain / step, size), step=step,
        scene=coarse(rgb),
    )  # fmt: skip


def _as_bytes(small: NDArray[np.float32], size: tuple[int, int]) -> Picture:
    """Enlarged and rounded by chance, so that no steps show in smooth tissue."""
    large = cv2.resize(small, size, interpolation=cv2.INTER_LINEAR)
    tile = _chance()
    high, wide = large.shape[:2]
    for top in range(0, high, tile.shape[0]):
        for left in range(0, wide, tile.shape[1]):
            part = large[top : top + tile.shape[0], left : left + tile.shape[1]]
            part += tile[: part.shape[0], : part.shape[1]]
    return np.clip(large, 0, 255).astype(np.uint8)


@cache
def _chance() -> NDArray[np.float32]:
    return np.random.default_rng(0).random((256, 256, 3), dtype=np.float32)
