"""Single training pictures with exact instance masks, drawn on the fly and the same by seed.

Follows the measured recipe (findings, section 6). Runs on whatever thread asks; holds no state
but its seed, so samples may be drawn in any order and by several processes.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from app.learning.phantom import effects, material
from app.learning.phantom.bag import specimen_bag
from app.learning.phantom.compose import Placed, place_on, random_look
from app.learning.phantom.cutouts import cutouts
from app.learning.phantom.instruments import Pose
from app.learning.phantom.rendered import MAKERS

TOOLS = ("grasper", "bipolar", "hook", "scissors", "clipper", "irrigator", "specimen_bag")
# Entry octants counter-clockwise from the right (findings, section 2, both mirror images mixed).
ENTRY_SHARES = np.array([20, 15, 12, 15, 20, 8, 2, 8]) / 100
RENDERED_SHARES = {
    "grasper": 0.3,
    "bipolar": 0.16,
    "hook": 0.22,
    "scissors": 0.1,
    "clipper": 0.12,
    "irrigator": 0.1,
}
SMALLEST_SHARE = 0.0008
# Wider than on the stills: another room's scope, light and instruments differ more from these
# stills than the stills from one another.
LOOK_SPREAD = 1.7
CUTOUT_SCALE = (0.55, 1.5)
STRONG_GRADE_SHARE = 0.4
# Instruments of which only the tip has come in.
ENTERING_SHARE = 0.2
# Pictures with a pale organ drawn over the tissue.
ORGAN_SHARE = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomInstance:
    """What shows of one instrument: class key, bool (H, W) mask, and its track in a video.

    Keys are those of `TOOLS`, and "instrument" for real ones whose kind nobody could tell.
    """

    key: str
    mask: np.ndarray
    track: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomSample:
    """One picture and its truth.

    Attributes:
        rgb: uint8 (H, W, 3).
        instances: one for each instrument and bag that shows.
        ignore: bool (H, W), pixels whose truth is unknown; leave them out of the loss.
        presence: bool (7,), which of `TOOLS` show.
    """

    rgb: np.ndarray
    instances: tuple[PhantomInstance, ...]
    ignore: np.ndarray
    presence: np.ndarray


def presence_of(keys: list[str]) -> np.ndarray:
    """Which of `TOOLS` are among the keys, bool (7,)."""
    return np.array([tool in keys for tool in TOOLS])


class PhantomStills:
    """An endless, seeded set of training pictures.

    Args:
        seed: chooses the set.
        size_px: width and height of the pictures, in pixels.
        real_share: share of real labelled frames, turned and scaled, among the pictures.
        cutout_share: share of real cut-outs among the pasted instruments.
        smoke_share: share of pictures with smoke.
    """

    def __init__(
        self,
        seed: int,
        size_px: tuple[int, int] = (320, 192),
        *,
        real_share: float = 0.27,
        cutout_share: float = 0.6,
        smoke_share: float = 0.12,
    ) -> None:
        self._seed = seed
        self._size = (size_px[1], size_px[0])
        # Plates a good deal larger than the pictures only cost memory and alias.
        self._grain = next((g for g in (0.25, 0.5) if 960 * g >= 1.4 * size_px[0]), 1.0)
        self._real_share = real_share
        self._cutout_share = cutout_share
        self._smoke_share = smoke_share

    def sample(self, index: int) -> PhantomSample:
        """The picture of this index; the same bytes for the same seed and index."""
        rng = np.random.default_rng([self._seed, index])
        kind = rng.random()
        if kind < 0.04:
            return self._finish(rng, *self._hard_negative(rng))
        if kind < 0.04 + self._real_share:
            return self._finish(rng, *self._real(rng))
        return self._finish(rng, *self._composite(rng))

    def _hard_negative(self, rng):
        height, width = self._size
        if rng.random() < 0.12:
            return np.full((height, width, 3), rng.uniform(0, 0.06), np.float32), [], None, None
        still = _pick(rng, material.stills_for("hard"))
        frame, _ = self._camera(
            rng, still, *material.labelled(still.name, self._grain), zoom=(1, 1.5)
        )
        return frame, [], None, None

    def _real(self, rng):
        still = _pick(rng, material.stills_for("labelled"))
        pixels = material.labelled(still.name, self._grain)
        picture, labels = self._camera(
            rng, still, *pixels, zoom=(1.0, 1.7), turn_deg=30, about_view=True
        )
        instances, ignore = [], None
        for number, polygon in enumerate(still.polygons):
            mask = labels == number + 1
            if polygon.key == "ignore":
                ignore = mask
            else:
                instances.append((polygon.key, mask))
        return picture, instances, ignore, None

    def _composite(self, rng):
        ground = rng.random()
        if ground > 0.95:
            still = _pick(rng, material.stills_for("hard"))
            pixels = material.labelled(still.name, self._grain)
            frame, zone = self._camera(rng, still, *pixels, zoom=(1, 1.5))
        else:
            plates = material.stills_for("clean")
            if ground > 0.55:
                plates = material.stills_for("labelled") + material.stills_for("zoned")
            still = _pick(rng, plates)
            plate = material.plate(still.name, self._grain)
            frame, zone = self._camera(
                rng, still, plate.tissue, plate.zone, zoom=(1.0, 1.9), turn_deg=40
            )
        view = self._view(rng)
        on_tissue = still.use != "hard"
        if on_tissue and rng.random() < ORGAN_SHARE:
            effects.organ_on(frame, rng)
        for _ in range(int(rng.integers(1, 4)) if on_tissue and rng.random() < 0.35 else 0):
            effects.blood_on(frame, rng)
        if on_tissue and rng.random() < 0.15:
            at = rng.uniform(0.25, 0.75, 2) * self._size[::-1]
            effects.burns_on(frame, rng, at, rng.uniform(0.05, 0.3), int(rng.integers(3, 9)))
        if on_tissue and rng.random() < 0.14:
            effects.glare_on(frame, rng)
        items = self._items(rng, view)
        masks = place_on(frame, items, view)
        for _ in range(int(rng.random() < 0.08)):
            effects.blood_on(frame, rng, span=0.05)
        instances = [(p.instrument.key, m) for p, m in zip(items, masks, strict=True)]
        frame *= effects.falloff(self._size, view, round(float(rng.uniform(0.0, 0.45)), 2))
        ignore = None if zone is None else zone > 127
        return frame, instances, ignore, view

    def _camera(self, rng, still, pixels, labels, *, zoom, turn_deg=0.0, about_view=False):
        """Look at a picture with a random turn, mirror, zoom and shift."""
        height, width = self._size
        cover = max(height / 540, width / 960)
        scale = cover * float(np.exp(rng.uniform(*np.log(zoom))))
        angle = np.deg2rad(rng.uniform(-turn_deg, turn_deg))
        mirror = np.array(
            [rng.choice([-1.0, 1.0]), 1.0 if about_view else rng.choice([1.0, 1.0, -1.0])]
        )
        c, s = np.cos(angle), np.sin(angle)
        turn = scale * np.array([[c, -s], [s, c]]) * mirror
        middle = np.array(still.view[:2]) if about_view else np.array([480.0, 270.0])
        slack = np.maximum(np.array([960, 540]) * scale - [width, height], 0) * 0.35
        shift = np.array([width, height]) / 2 + rng.uniform(-1, 1, 2) * slack
        shift = shift - turn @ middle
        matrix = np.column_stack([turn, shift])
        matrix[:, :2] /= self._grain
        border = cv2.BORDER_REFLECT_101
        frame = cv2.warpAffine(pixels, matrix, (width, height), borderMode=border)
        frame = frame.astype(np.float32) * (1 / 255)
        warped = None
        if labels is not None:
            warped = cv2.warpAffine(
                labels, matrix, (width, height), flags=cv2.INTER_NEAREST, borderMode=border
            )
        return frame, warped

    def _view(self, rng) -> tuple[float, float, float]:
        height, width = self._size
        if rng.random() < 0.15:
            return width / 2, height / 2, float(width)
        radius = width * rng.uniform(0.35, 0.52)
        x = width / 2 + rng.normal(0, 0.04) * width
        return float(x), float(height / 2 + rng.normal(0, 0.03) * height), float(radius)

    def _items(self, rng, view) -> list[Placed]:
        count = int(rng.choice(4, p=[0.1, 0.45, 0.35, 0.1]))
        items = [self._item(rng, view) for _ in range(count)]
        if rng.random() < 0.06:
            items.insert(0, self._bag(rng, view))
        return items

    def _item(self, rng, view) -> Placed:
        width = self._size[1]
        tip, angle = entry_pose(rng, view, self._size)
        look = random_look(rng, LOOK_SPREAD)
        if rng.random() < self._cutout_share:
            instrument = _pick(rng, cutouts())
            scale = width / 960 * float(np.exp(rng.uniform(*np.log(CUTOUT_SCALE))))
            opening = 0.0
        else:
            across = width * float(np.clip(np.exp(rng.normal(np.log(0.058), 0.55)), 0.015, 0.18))
            key = str(rng.choice(list(RENDERED_SHARES), p=list(RENDERED_SHARES.values())))
            instrument = MAKERS[key](rng, across, 1.05 * np.hypot(*self._size))
            scale, opening = 1.0, float(rng.random() ** 1.5)
        pose = Pose(
            tip=tip, angle=angle, scale=scale, opening=opening, bend=float(rng.normal(0, 0.06))
        )
        return Placed(instrument=instrument, pose=pose, look=look)

    def _bag(self, rng, view) -> Placed:
        width = self._size[1]
        bag = specimen_bag(rng, width * rng.uniform(0.3, 0.75))
        at = (view[0] + rng.normal(0, 0.15) * width, view[1] + rng.uniform(0.0, 0.25) * width)
        pose = Pose(tip=(float(at[0]), float(at[1])), angle=float(rng.uniform(0, 6.28)), scale=1.0)
        return Placed(instrument=bag, pose=pose, look=random_look(rng))

    def _finish(self, rng, frame, instances, ignore, view) -> PhantomSample:
        _height, width = self._size
        if rng.random() < self._smoke_share:
            effects.smoke_on(frame, effects.smoke_density(rng, self._size, rng.uniform(0.1, 0.6)))
        if rng.random() < 0.06:
            effects.dirt_on(frame, effects.dirt(rng, self._size))
        frame = effects.grade(frame, rng, 2.2 if rng.random() < STRONG_GRADE_SHARE else 1.0)
        blur = rng.random()
        if blur < 0.35:
            frame = cv2.GaussianBlur(frame, (0, 0), rng.uniform(0.3, 1.6) * width / 256)
        elif blur < 0.45:
            away = rng.normal(0, 0.012, 2) * width
            frame = effects.motion_blur(frame, *away)
        if view is not None:
            round_view = material.view_mask(view, self._size)
            frame *= (round_view * np.float32(1 / 255))[..., None]
            inside = round_view > 127
            instances = [(key, mask & inside) for key, mask in instances]
            ignore = None if ignore is None else ignore & inside
        effects.grain_on(frame, rng, float(rng.uniform(0.0, 0.018)))
        rgb = effects.to_bytes(frame)
        if rng.random() < 0.5:
            rgb = _coded(rng, rgb)
        ignore = np.zeros(self._size, bool) if ignore is None else ignore
        kept = []
        for key, mask in instances:
            ignore &= ~mask
            if mask.mean() >= SMALLEST_SHARE:
                kept.append(PhantomInstance(key=key, mask=mask))
            else:
                ignore |= mask
        return PhantomSample(
            rgb=rgb,
            instances=tuple(kept),
            ignore=ignore,
            presence=presence_of([k.key for k in kept]),
        )


def _coded(rng, rgb):
    height, width = rgb.shape[:2]
    quality = int(rng.integers(25, 91))
    if rng.random() < 0.4:
        share = rng.uniform(0.55, 0.9)
        small = cv2.resize(rgb, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
        return cv2.resize(effects.compress(small, quality), (width, height))
    return effects.compress(rgb, quality)


def entry_pose(
    rng: np.random.Generator, view: tuple[float, float, float], size: tuple[int, int]
) -> tuple[tuple[float, float], float]:
    """A tip near the middle of the view, or only just inside, and a direction from the rim."""
    height, width = size
    radius = min(view[2], 0.52 * width)
    entering = rng.random() < ENTERING_SHARE
    for _ in range(20):
        tip = np.array(view[:2]) + 2 * radius * rng.normal(0, [0.16, 0.13])
        octant = rng.choice(8, p=ENTRY_SHARES)
        at = (octant + rng.random()) * np.pi / 4
        entry = np.array(view[:2]) + radius * np.array([np.cos(at), -np.sin(at)])
        if entering:
            entry = np.clip(entry, 0, [width, height])
            inwards = (tip - entry) / np.hypot(*(tip - entry))
            tip = entry + inwards * rng.uniform(0.05, 0.2) * width
            break
        away = float(np.hypot(*(tip - entry)))
        inside = 0.04 * width < tip[0] < 0.96 * width and 0.05 * height < tip[1] < 0.95 * height
        if inside and 0.16 * width < away < 0.72 * width:
            break
    direction = tip - entry
    return (float(tip[0]), float(tip[1])), float(np.arctan2(direction[1], direction[0]))


def _pick(rng: np.random.Generator, pool):
    return pool[int(rng.integers(len(pool)))]
