"""Smooth random fields and the filling of holes with tissue. Pure functions, numpy and cv2."""

import functools

import cv2
import numpy as np


@functools.cache
def cloud(octaves: int = 5, size: int = 512) -> np.ndarray:
    """A tileable-enough fractal noise, float32 (size, size) in 0..1, the same in every process."""
    rng = np.random.default_rng(7)
    total = np.zeros((size, size), np.float32)
    for octave in range(octaves):
        cells = 4 * 2**octave
        grid = rng.random((cells, cells), dtype=np.float32)
        grid = np.pad(grid, 1, mode="wrap")
        big = cv2.resize(
            grid, None, fx=size / cells, fy=size / cells, interpolation=cv2.INTER_CUBIC
        )
        edge = size // cells
        total += big[edge : edge + size, edge : edge + size] * 0.55**octave
    low, high = np.quantile(total, [0.005, 0.995])
    return np.clip((total - low) / (high - low), 0, 1)


def patch(
    rng: np.random.Generator, height: int, width: int, grain: float = 1.0, octaves: int = 5
) -> np.ndarray:
    """A random piece of noise, float32 (height, width) in 0..1; `grain` > 1 is finer."""
    source = cloud(octaves)
    span = source.shape[0]
    across = int(np.clip(span * grain * 0.5, 8, span - 1))
    down = int(np.clip(across * height / max(width, 1), 4, span - 1))
    x = int(rng.integers(span - across))
    y = int(rng.integers(span - down))
    piece = source[y : y + down, x : x + across]
    return cv2.resize(piece, (width, height), interpolation=cv2.INTER_LINEAR)


def line(rng: np.random.Generator, length: int, cells: float) -> np.ndarray:
    """Smooth noise along a line, float32 (length,) in 0..1, about `cells` bumps long."""
    knots = rng.random((1, max(int(cells), 2) + 1), dtype=np.float32)
    return np.clip(cv2.resize(knots, (length, 1), interpolation=cv2.INTER_CUBIC)[0], 0, 1)


def fill_from_elsewhere(rgb: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Fill a hole with tissue of the same picture, matched in colour at the hole's edge.

    The best of a set of shifts and mirror images is taken whole, and the colour difference at the
    edge is spread smoothly over the inside (a membrane, as in gradient-domain cloning).

    Args:
        rgb: uint8 (H, W, 3).
        hole: bool (H, W), what to fill.
    """
    count, parts = cv2.connectedComponents(hole.astype(np.uint8))
    sizes = np.bincount(parts.ravel(), minlength=count)
    open_holes = hole.copy()
    for number in sorted(range(1, count), key=lambda n: sizes[n]):
        part = parts == number
        rgb = _fill_one(rgb, part, open_holes)
        open_holes &= ~part
    return rgb


def _fill_one(rgb: np.ndarray, hole: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    ring = cv2.dilate(hole.astype(np.uint8), np.ones((13, 13), np.uint8)) > 0
    ring &= ~unknown
    if not ring.any():
        return rgb
    move = _best_move(_shrink(rgb), _shrink(hole), _shrink(ring), ~_shrink(unknown))
    source, known = _moved(rgb, ~unknown, move)
    return _membrane(rgb, source, hole, known, ring)


SHRINK = 4
REACH = 124


def _shrink(image):
    if image.dtype == bool:
        small = cv2.resize(
            image.astype(np.uint8),
            None,
            fx=1 / SHRINK,
            fy=1 / SHRINK,
            interpolation=cv2.INTER_NEAREST,
        )
        return small > 0
    return cv2.resize(image, None, fx=1 / SHRINK, fy=1 / SHRINK, interpolation=cv2.INTER_AREA)


def _best_move(rgb, hole, ring, usable) -> tuple[int | None, int, int]:
    """The mirror image and shift whose tissue fits best at the hole's edge."""
    edge, inner = np.argwhere(ring), np.argwhere(hole)
    wanted = rgb[ring].astype(np.int16)
    best, best_misfit = (1, 0, 0), np.inf
    if not len(inner) or not len(edge):
        return best
    for flip in (None, 1, 0, -1):
        picture = (rgb if flip is None else cv2.flip(rgb, flip)).astype(np.int16)
        known = usable.astype(np.uint8)
        known = np.pad(known if flip is None else cv2.flip(known, flip), REACH)
        picture = np.pad(picture, ((REACH, REACH), (REACH, REACH), (0, 0)))
        for dx in range(-120, 121, 12):
            for dy in range(-84, 85, 12):
                if flip is None and abs(dx) + abs(dy) < 25:
                    continue
                there = edge - (dy, dx) + REACH
                has = known[there[:, 0], there[:, 1]] > 0
                if has.mean() < 0.4:
                    continue
                apart = np.abs(picture[there[:, 0], there[:, 1]] - wanted)[has].mean()
                inside = inner - (dy, dx) + REACH
                missing = 1 - known[inside[:, 0], inside[:, 1]].mean()
                misfit = float(apart) + 120 * float(missing)
                if misfit < best_misfit:
                    best, best_misfit = (flip, dx, dy), misfit
    return best


def _moved(rgb, usable, move):
    flip, dx, dy = move
    size = usable.shape[::-1]
    known = usable.astype(np.uint8)
    if flip is not None:
        rgb, known = cv2.flip(rgb, flip), cv2.flip(known, flip)
    shift = np.float32([[1, 0, dx * SHRINK], [0, 1, dy * SHRINK]])
    known = cv2.warpAffine(known, shift, size, flags=cv2.INTER_NEAREST) > 0
    return cv2.warpAffine(rgb, shift, size), known


def _membrane(rgb, source, hole, known, ring):
    both = ring & known
    weight = both.astype(np.float32)
    apart = (rgb.astype(np.float32) - source) * weight[..., None]
    spread, total = cv2.GaussianBlur(apart, (0, 0), 6), cv2.GaussianBlur(weight, (0, 0), 6)
    apart, weight = (
        cv2.resize(a, None, fx=0.125, fy=0.125, interpolation=cv2.INTER_AREA)
        for a in (apart, weight)
    )
    for sigma, share in ((3, 0.05), (10, 0.002), (30, 0.0001)):
        full = spread.shape[1::-1]
        spread += share * cv2.resize(cv2.GaussianBlur(apart, (0, 0), sigma), full)
        total += share * cv2.resize(cv2.GaussianBlur(weight, (0, 0), sigma), full)
    smooth = source + spread / np.maximum(total, 1e-9)[..., None]
    plain = cv2.inpaint(
        cv2.resize(rgb, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA),
        cv2.resize(hole.astype(np.uint8), None, fx=0.25, fy=0.25, interpolation=cv2.INTER_NEAREST),
        5,
        cv2.INPAINT_TELEA,
    )
    plain = cv2.resize(plain, rgb.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    has = cv2.GaussianBlur(known.astype(np.float32), (0, 0), 4)[..., None]
    fill = np.clip(smooth * has + plain * (1 - has), 0, 255)
    soft = cv2.GaussianBlur(hole.astype(np.float32), (0, 0), 3)[..., None]
    soft = np.maximum(soft, hole[..., None])
    return np.round(rgb * (1 - soft) + fill * soft).astype(np.uint8)
