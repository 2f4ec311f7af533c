"""The real pictures a phantom is made of: tissue plates, labelled stills, cut-outs.

Reads `resources/phantom` once per process. No thread of its own; safe to read from several.
All pictures are RGB uint8 of 960x540; smaller copies are kept where a smaller frame is drawn.
"""

import functools
import json
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from app.core.resources import resources_dir
from app.learning.phantom.noise import fill_from_elsewhere

MATERIAL_SIZE = (540, 960)
ROOT = resources_dir() / "phantom"
# One rater judged the kinds from single stills; only these three are fair (findings, section 6).
FAIR_KINDS = ("grasper", "hook", "irrigator")


@dataclass(frozen=True, slots=True, kw_only=True)
class Polygon:
    """One traced outline in a still: class key and points (N, 2) in pixels."""

    key: str
    points: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Still:
    """One real picture with its round view (x, y, radius in pixels) and its labels."""

    name: str
    use: str
    view: tuple[float, float, float]
    phases: tuple[str, ...]
    polygons: tuple[Polygon, ...]
    path: Path = field(repr=False)

    @property
    def operation(self) -> str:
        return self.name.partition("-frame-")[0]


def class_key(label: str) -> str:
    """Map a traced label to a class key; weak kinds become "instrument"."""
    return label if label in FAIR_KINDS or label == "ignore" else "instrument"


@functools.cache
def stills() -> tuple[Still, ...]:
    """All stills of the resources, in the order of the index."""
    index = json.loads((ROOT / "index.json").read_text(encoding="utf-8"))
    return tuple(
        Still(
            name=entry["name"],
            use=entry["use"],
            view=tuple(entry["view"]),
            phases=tuple(entry["phases"]),
            polygons=_polygons(ROOT / "labels" / f"{entry['name']}.json"),
            path=ROOT / "stills" / f"{entry['name']}.jpg",
        )
        for entry in index["stills"]
    )


def _polygons(path: Path) -> tuple[Polygon, ...]:
    if not path.exists():
        return ()
    shapes = json.loads(path.read_text(encoding="utf-8"))["shapes"]
    return tuple(
        Polygon(key=class_key(s["label"]), points=np.array(s["points"], np.float32)) for s in shapes
    )


def still_named(name: str) -> Still:
    """The still of this name."""
    return next(s for s in stills() if s.name == name)


def picture(name: str) -> np.ndarray:
    """The still as RGB uint8 (540, 960, 3)."""
    still = still_named(name)
    rgb = cv2.imdecode(np.fromfile(still.path, np.uint8), cv2.IMREAD_COLOR_RGB)
    # The recorder left the outermost lines black; mirrored, they would draw a line over tissue.
    return cv2.copyMakeBorder(rgb[3:-3, 3:-3], 3, 3, 3, 3, cv2.BORDER_REPLICATE)


def polygon_mask(points: np.ndarray, size: tuple[int, int] = MATERIAL_SIZE) -> np.ndarray:
    """Fill a polygon; uint8 (H, W) of 0 and 255 with a smooth edge."""
    mask = np.zeros(size, np.uint8)
    cv2.fillPoly(mask, [np.round(points * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return mask


def view_mask(view: tuple[float, float, float], size: tuple[int, int]) -> np.ndarray:
    """The round view as uint8 (H, W), 255 inside, with a smooth edge."""
    mask = np.zeros(size, np.uint8)
    x, y, radius = (round(v * 16) for v in view)
    cv2.circle(mask, (x, y), radius, 255, -1, cv2.LINE_AA, 4)
    return mask


@dataclass(frozen=True, slots=True, kw_only=True)
class Plate:
    """Tissue to draw on: filled beyond the round view, so that a camera may move over it.

    `tissue` (uint8 RGB) and `zone` (uint8) are `scale` times 960x540; `zone` is 255 where an
    instrument stands in the still or was painted over.
    """

    still: Still
    scale: float
    tissue: np.ndarray
    zone: np.ndarray | None


@functools.lru_cache(maxsize=320)
def plate(name: str, scale: float = 1.0, repaired: bool = False) -> Plate:
    """Prepare a still as a plate; `repaired` paints its instruments over with tissue."""
    still = still_named(name)
    rgb = picture(name)
    back = _mirror_map(view_mask(still.view, MATERIAL_SIZE) > 127)
    tissue = cv2.remap(rgb, *back, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    zone = None
    if still.polygons:
        zone = np.zeros(MATERIAL_SIZE, np.uint8)
        for polygon in still.polygons:
            zone |= polygon_mask(polygon.points)
        grow = int(0.02 * MATERIAL_SIZE[1])
        zone = cv2.dilate(zone, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * grow + 1,) * 2))
        zone = cv2.remap(zone, *back, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT_101)
        if repaired:
            tissue = fill_from_elsewhere(tissue, zone > 127)
    return Plate(
        still=still,
        scale=scale,
        tissue=shrink(tissue, scale),
        zone=None if zone is None else shrink(zone, scale),
    )


def shrink(image: np.ndarray, scale: float) -> np.ndarray:
    """The picture at a smaller size."""
    if scale == 1.0:
        return image
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


@functools.lru_cache(maxsize=320)
def labelled(name: str, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """A still and its labels (number of the polygon plus one, uint8), as they are."""
    labels = np.zeros(MATERIAL_SIZE, np.uint8)
    for number, polygon in enumerate(still_named(name).polygons):
        labels[polygon_mask(polygon.points) > 127] = number + 1
    small = cv2.resize(labels, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
    return shrink(picture(name), scale), small


def _mirror_map(lit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Maps that mirror the tissue at its rim to fill what lies outside it."""
    inner = cv2.erode(lit.astype(np.uint8), np.ones((11, 11), np.uint8), borderValue=0)
    _, labels = cv2.distanceTransformWithLabels(
        1 - inner, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    rows, columns = np.indices(MATERIAL_SIZE, np.float32)
    ys, xs = np.nonzero(inner)
    at = np.zeros((labels.max() + 1, 2), np.float32)
    at[labels[ys, xs]] = np.column_stack([xs, ys])
    near = at[labels]
    outside = inner == 0
    across = np.where(outside, 2 * near[..., 0] - columns, columns).astype(np.float32)
    down = np.where(outside, 2 * near[..., 1] - rows, rows).astype(np.float32)
    return cv2.blur(across, (3, 3)), cv2.blur(down, (3, 3))


@functools.cache
def stills_for(use: str) -> tuple[Still, ...]:
    """The stills of one use: "clean", "labelled", "zoned" or "hard"."""
    return tuple(s for s in stills() if s.use == use)
