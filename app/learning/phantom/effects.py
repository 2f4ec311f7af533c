"""What happens to the picture between tissue and file: light, blood, smoke, blur, dirt, codec.

Pure functions on RGB float32 (H, W, 3) in 0..1; those that end in `_on` change the frame in place.
"""

import functools

import cv2
import numpy as np

from app.learning.phantom import noise


def grade(frame: np.ndarray, rng: np.random.Generator, amount: float = 1.0) -> np.ndarray:
    """Change colour moderately: channel gains, gamma, saturation."""
    gains = 1 + amount * rng.uniform(-0.09, 0.09, 3).astype(np.float32)
    light = np.float32(np.exp(amount * rng.uniform(-0.22, 0.2)))
    gamma = float(np.exp(amount * rng.uniform(-0.22, 0.22)))
    saturation = 1 + amount * rng.uniform(-0.25, 0.22)
    return apply_grade(frame, gains * light, gamma, saturation)


def apply_grade(frame, gains, gamma: float, saturation: float) -> np.ndarray:
    """Channel gains, gamma and saturation as given."""
    mix = np.full((3, 3), (1 - saturation) / 3) + np.eye(3) * saturation
    out = cv2.transform(frame, np.asarray(gains, float)[:, None] * mix)
    curve = (np.linspace(0, 1, 256) ** gamma).astype(np.float32)
    return cv2.LUT(to_bytes(np.maximum(out, 0)), curve)


@functools.lru_cache(maxsize=64)
def falloff(size: tuple[int, int], view: tuple[float, float, float], strength: float) -> np.ndarray:
    """Light that falls off toward the rim, float32 (H, W, 1)."""
    x, y, radius = view
    radius = min(radius, 0.56 * size[1])
    rows, columns = np.ogrid[: size[0], : size[1]]
    away = ((columns - x) ** 2 + (rows - y) ** 2) / (radius * radius)
    return (1 - strength * np.clip(away, 0, 1.6)).astype(np.float32)[..., None]


def _window(rng, size, span_px, near=None):
    height, width = size
    if near is None:
        near = (rng.uniform(0.2, 0.8) * width, rng.uniform(0.2, 0.8) * height)
    half = int(span_px)
    x0, x1 = max(int(near[0]) - half, 0), min(int(near[0]) + half, width)
    y0, y1 = max(int(near[1]) - half, 0), min(int(near[1]) + half, height)
    if x1 - x0 < 6 or y1 - y0 < 6:
        return None
    u = (np.arange(x0, x1, dtype=np.float32) - near[0]) / half
    v = (np.arange(y0, y1, dtype=np.float32) - near[1])[:, None] / half
    return (slice(y0, y1), slice(x0, x1)), np.clip(1 - u * u - v * v, 0, 1)


def glare_on(frame: np.ndarray, rng: np.random.Generator) -> None:
    """Wet highlights on tissue: clusters of small broken spots; they belong to no instrument."""
    size = frame.shape[:2]
    for _ in range(int(rng.integers(1, 4))):
        found = _window(rng, size, size[1] * rng.uniform(0.06, 0.2))
        if found is None:
            continue
        where, near = found
        fine = noise.patch(rng, *near.shape, grain=rng.uniform(0.6, 1.6))
        lumps = noise.patch(rng, *near.shape, grain=rng.uniform(0.15, 0.4))
        relief = frame[where].max(axis=2)
        field = 0.55 * fine + 0.35 * lumps + 0.3 * near + 0.25 * (relief - relief.mean())
        level = np.quantile(field, rng.uniform(0.93, 0.99))
        spots = np.clip((field - level) * 16, 0, 1)
        halo = cv2.GaussianBlur(spots, (0, 0), max(size[1] / 90, 1))
        spots = cv2.GaussianBlur(spots, (0, 0), max(size[1] / 900, 0.4))
        frame[where] += (spots * rng.uniform(0.6, 1.2) + 0.25 * halo)[..., None]
    np.clip(frame, 0, 1, out=frame)


# Gallbladder walls, serosa and drained bowel are nearly as neutral as an instrument.
ORGAN_TONES = np.float32(
    [
        [0.56, 0.60, 0.68],
        [0.66, 0.66, 0.70],
        [0.74, 0.68, 0.64],
        [0.62, 0.62, 0.50],
        [0.54, 0.46, 0.50],
        [0.84, 0.80, 0.76],
    ]
)


def organ_on(frame: np.ndarray, rng: np.random.Generator) -> None:
    """A smooth, swollen, pale organ with fine vessels over the tissue; it is no instrument."""
    height, width = frame.shape[:2]
    radius = width * rng.uniform(0.07, 0.17)
    half = width * rng.uniform(0.02, 0.2)
    found = _window(rng, (height, width), 1.3 * (radius + half))
    if found is None:
        return
    where, near = found
    tall, wide = near.shape
    angle = rng.uniform(0, np.pi)
    bend = radius * rng.uniform(0.6, 1.8)
    ragged = radius * rng.uniform(0, 0.25) * (noise.patch(rng, tall, wide, grain=0.7) - 0.5)
    columns = np.arange(wide, dtype=np.float32) - wide / 2 + ragged
    columns = columns + bend * (noise.patch(rng, tall, wide, grain=0.15, octaves=3) - 0.5)
    rows = np.arange(tall, dtype=np.float32)[:, None] - tall / 2 + ragged
    rows = rows + bend * (noise.patch(rng, tall, wide, grain=0.15, octaves=3) - 0.5)
    along = columns * np.cos(angle) + rows * np.sin(angle)
    aside = rows * np.cos(angle) - columns * np.sin(angle)
    away = np.hypot(np.maximum(np.abs(along) - half, 0), aside) / radius
    bulge = np.sqrt(np.clip(1 - away**2, 0, 1))
    light = frame[where].mean(axis=2)
    level = float(np.clip(np.quantile(light, 0.7), 0.15, 0.8))
    lit = bulge - rng.uniform(-0.4, 0.4) * aside / radius - rng.uniform(-0.3, 0.3) * along / width
    fine = noise.patch(rng, tall, wide, grain=rng.uniform(0.8, 1.6))
    vessels = np.clip(1 - np.abs(fine - 0.5) * rng.uniform(14, 30), 0, 1) * rng.uniform(0, 0.3)
    own = rng.uniform(0.3, 0.9)
    shade = level * (1 - own) * (0.55 + 0.7 * lit) + own * light * (0.9 + 0.4 * lit)
    shade += 0.06 * (fine - 0.5)
    tone = ORGAN_TONES[int(rng.integers(len(ORGAN_TONES)))] * rng.uniform(0.9, 1.1, 3)
    picture = tone.astype(np.float32) * 1.5 * np.clip(shade, 0, 1.2)[..., None]
    picture *= 1 - vessels[..., None] * np.float32([0.25, 0.8, 0.75])
    wet = cv2.GaussianBlur(
        np.clip((fine * bulge - rng.uniform(0.62, 0.8)) * 14, 0, 1), (0, 0), max(width / 600, 0.5)
    )
    picture += wet[..., None] * rng.uniform(0, 0.8)
    edge = rng.uniform(1.5, 12)
    share = np.clip((1 - away) * edge, 0, 1) * np.clip(near * 6, 0, 1) * rng.uniform(0.75, 1)
    under = np.clip((1.25 - away) * 3, 0, 1) * rng.uniform(0, 0.45)
    piece = frame[where] * (1 - under[..., None])
    frame[where] = np.clip(piece * (1 - share[..., None]) + picture * share[..., None], 0, 1)


def blood_on(
    frame: np.ndarray, rng: np.random.Generator, near=None, span: float | None = None, char=False
) -> None:
    """A smear of blood, or of charred tissue, that follows the relief below it."""
    size = frame.shape[:2]
    found = _window(rng, size, size[1] * (span or rng.uniform(0.05, 0.25)), near)
    if found is None:
        return
    where, close = found
    piece = frame[where]
    light = piece.mean(axis=2, keepdims=True)
    fine = noise.patch(rng, *close.shape, grain=1.2)
    share = _patch_share(rng, close, light[..., 0], fine)
    if char:
        # Burnt tissue: yellow-brown at its edge, near black in its middle.
        depth = np.clip(share * 1.6 - 0.5, 0, 1)[..., None]
        edge = np.float32([0.95, 0.72, 0.45]) * (0.15 + 0.75 * light)
        tone = (
            edge * (1 - depth)
            + np.float32([0.36, 0.19, 0.13]) * (0.3 + fine[..., None]) * (0.4 + light) * depth
        )
    else:
        wet = np.clip((fine - 0.86) * 5, 0, 0.6)[..., None] * light
        tone = np.float32([1.05, 0.1, 0.1]) * (0.06 + 0.72 * light) + wet
        tone += np.clip(light - 0.7, 0, 1)
    share = cv2.blur(share, (3, 3)) if char else share
    share = (share * rng.uniform(0.35, 0.75) if char else share * rng.uniform(0.5, 0.92))[..., None]
    frame[where] = piece * (1 - share) + np.clip(tone, 0, 1) * share


def _patch_share(rng, close, light, fine) -> np.ndarray:
    """A ragged, drawn-out shape that pools in the hollows of the relief."""
    height, width = close.shape
    lumps = noise.patch(rng, height, width, grain=rng.uniform(0.12, 0.25), octaves=4)
    turned = noise.patch(rng, height, width, grain=rng.uniform(0.12, 0.25), octaves=4)
    angle, thin = rng.uniform(0, np.pi), rng.uniform(1, 2.6)
    u = np.linspace(-1, 1, width, dtype=np.float32) + 1.3 * (lumps - 0.5)
    v = np.linspace(-1, 1, height, dtype=np.float32)[:, None] + 1.3 * (turned - 0.5)
    along = u * np.cos(angle) + v * np.sin(angle)
    aside = (v * np.cos(angle) - u * np.sin(angle)) * thin
    away = np.sqrt(along**2 + aside**2)
    relief = light - cv2.blur(light, (9, 9))
    share = np.clip((0.62 - away + 0.5 * (fine - 0.5) - 1.5 * relief) * rng.uniform(2, 4.5), 0, 1)
    return share * np.clip(close * 5, 0, 1)


def burns_on(frame: np.ndarray, rng: np.random.Generator, at, length: float, dabs: int) -> None:
    """A line of cautery marks that wanders over the tissue; `length` in frame widths."""
    width = frame.shape[1]
    point, heading = np.array(at, float), rng.uniform(0, 2 * np.pi)
    for _ in range(dabs):
        heading += rng.normal(0, 0.5)
        point += np.array([np.cos(heading), np.sin(heading)]) * length * width / dabs
        near = point + rng.normal(0, 0.006 * width, 2)
        blood_on(frame, rng, near=near, span=rng.uniform(0.01, 0.028), char=True)


def smoke_on(frame: np.ndarray, density: np.ndarray, tone=(0.72, 0.74, 0.78)) -> None:
    """Haze; `density` float32 (H, W) in 0..1."""
    share = density[..., None]
    frame *= 1 - share
    frame += share * np.float32(tone)


def smoke_density(rng: np.random.Generator, size: tuple[int, int], amount: float) -> np.ndarray:
    field = noise.patch(rng, *size, grain=rng.uniform(0.1, 0.35), octaves=4)
    return np.clip((0.35 + field) * amount, 0, 0.92)


def dirt(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Where the lens is dirty, float32 (H, W) in 0..1."""
    small = np.zeros((max(size[0] // 4, 8), max(size[1] // 4, 8)), np.float32)
    for _ in range(int(rng.integers(1, 5))):
        at = (int(rng.integers(small.shape[1])), int(rng.integers(small.shape[0])))
        axes = (
            max(1, int(small.shape[1] * rng.uniform(0.01, 0.07))),
            max(1, int(small.shape[1] * rng.uniform(0.01, 0.07))),
        )
        cv2.ellipse(small, at, axes, float(rng.uniform(0, 180)), 0, 360, rng.uniform(0.4, 1), -1)
    small = cv2.GaussianBlur(small, (0, 0), small.shape[1] * rng.uniform(0.006, 0.03) + 0.5)
    return cv2.resize(small, size[::-1], interpolation=cv2.INTER_LINEAR)


def dirt_on(frame: np.ndarray, where: np.ndarray) -> None:
    """A drop or smear on the lens: blurs and veils what is behind it."""
    height, width = frame.shape[:2]
    small = cv2.resize(frame, (width // 4, height // 4), interpolation=cv2.INTER_AREA)
    soft = cv2.resize(cv2.GaussianBlur(small, (0, 0), 2.5), (width, height))
    share = where[..., None] * 0.9
    frame *= 1 - share
    frame += share * (soft * 0.85 + 0.07)


def motion_blur(frame: np.ndarray, dx: float, dy: float) -> np.ndarray:
    """Blur along a path of (dx, dy) pixels."""
    length = float(np.hypot(dx, dy))
    if length < 1.2:
        return frame
    span = int(np.ceil(length)) | 1
    kernel = np.zeros((span, span), np.float32)
    middle = span // 2
    step = np.array([dx, dy]) / length * middle
    start = tuple(round((middle - s) * 16) for s in step)
    stop = tuple(round((middle + s) * 16) for s in step)
    cv2.line(kernel, start, stop, 1.0, 1, cv2.LINE_8, 4)
    return cv2.filter2D(frame, -1, kernel / kernel.sum())


@functools.cache
def _grain() -> np.ndarray:
    rng = np.random.default_rng(3)
    return rng.standard_normal((640, 1024, 3), dtype=np.float32)


def grain_on(frame: np.ndarray, rng: np.random.Generator, sigma: float) -> None:
    """Sensor noise of standard deviation `sigma` (0..1), a little smoothed as cameras do."""
    tile = _grain()
    height, width = frame.shape[:2]
    if height > tile.shape[0] or width > tile.shape[1]:
        tile = np.tile(tile, (height // tile.shape[0] + 1, width // tile.shape[1] + 1, 1))
    y = int(rng.integers(tile.shape[0] - height + 1))
    x = int(rng.integers(tile.shape[1] - width + 1))
    frame += sigma * tile[y : y + height, x : x + width]


def to_bytes(frame: np.ndarray) -> np.ndarray:
    """Round to uint8 RGB; noise below black is folded up."""
    return cv2.convertScaleAbs(frame, alpha=255)


def compress(rgb: np.ndarray, quality: int) -> np.ndarray:
    """What a lossy codec leaves of a uint8 picture."""
    coded = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(coded, cv2.IMREAD_COLOR_RGB)
