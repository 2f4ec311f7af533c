"""COCO instance files as data sets: Endoscapes2023, Roboflow's and COCO's folders, our own export.

Source: specification of annotation formats, sections 6 and 13. A crowd is a region about which
nothing is known. Endoscapes names its pictures ``video_frame.jpg``; one video is one operation.
"""

from __future__ import annotations

import re
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from app.core.errors import BadInput
from app.core.mask import MAX_PIXELS, Mask
from app.core.picture import LabelledPicture, PictureEntry
from app.core.prediction import Instance
from app.exchange.images import read_rgb
from app.exchange.jsonfile import read_json
from app.exchange.mask_folder import group_of
from app.exchange.mask_image import key_of

TITLE = "COCO (annotation_coco.json beside the pictures, such as Endoscapes2023)"
FILES = (
    "annotation_coco.json",
    "_annotations.coco.json",
    "annotations.json",
    "annotations/instances_default.json",
)
_FOLDERS = ("", "images", "frames")
_NUMBERED = re.compile(r"(\d+)_\d+")
_MAX_POINTS = 100_000


def belongs(folder: Path) -> bool:
    """Whether a COCO file lies where such data sets have it."""
    return _file(folder) is not None


def entries(folder: Path) -> list[PictureEntry]:
    """The pictures of the file, also those without an instance.

    Raises:
        BadInput: it is no COCO file, or a picture is missing.
    """
    file = _file(folder)
    if file is None:
        return []
    data = read_json(file)
    try:
        labels = {int(c["id"]): key_of(str(c["name"])) for c in data["categories"]}
        rows: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for annotation in data["annotations"]:
            rows[int(annotation["image_id"])].append(annotation)
        return [_entry(folder, image, rows[int(image["id"])], labels) for image in data["images"]]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"{file.name} is no COCO instance file: {error}.", str(error)) from error


def load(
    path: Path, name: str, group: str, rows: list[dict[str, Any]], labels: dict[int, str]
) -> LabelledPicture:
    """One picture with its annotations; those of a box alone become boxes.

    Raises:
        BadInput: an annotation is damaged or of another size than the picture.
    """
    rgb = read_rgb(path)
    height, width = rgb.shape[:2]
    instances, boxes = [], []
    ignore = np.zeros((height, width), bool)
    for row in rows:
        try:
            label = labels[int(row["category_id"])]
            plane = _plane(row.get("segmentation"), height, width)
            if plane is None:
                x, y, w, h = (float(v) for v in row["bbox"])
                boxes.append((label, (x, y, x + w, y + h)))
            elif row.get("iscrowd"):
                ignore |= plane
            elif plane.any():
                instances.append(Instance(label=label, mask=Mask.from_full(plane)))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            number = str(row.get("id", "?"))[:20]
            raise BadInput(
                f"Annotation {number} of {path.name} cannot be read: {error}.", str(error)
            ) from error
    return LabelledPicture(
        name=name,
        group=group,
        rgb=rgb,
        instances=tuple(instances),
        ignore=Mask.from_full(ignore) if ignore.any() else None,
        boxes=tuple(boxes),
    )


def runs_of(counts: object) -> NDArray[np.int64]:
    """Run lengths of a COCO code, column by column, beginning with those outside.

    Args:
        counts: a list of numbers, or COCO's text: six bits a character from "0" on, the lowest
            first, from the fourth run on as the difference to the run two before.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(counts, list):
        return np.array([int(v) for v in counts], np.int64)
    if not isinstance(counts, str):
        raise ValueError("its run lengths are neither text nor a list")
    runs: list[int] = []
    value = shift = 0
    for letter in counts:
        bits = ord(letter) - 48
        if not 0 <= bits < 64 or shift > 40:
            raise ValueError("its run lengths are damaged")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (1 << shift) if bits & 16 else 0
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    if shift:
        raise ValueError("its run lengths end in the middle of one")
    return np.array(runs, np.int64)


def _plane(code: object, height: int, width: int) -> NDArray[np.bool_] | None:
    """The pixels of a segmentation, bool (H, W); None where there is none."""
    if not code:
        return None
    if isinstance(code, dict):
        if list(code["size"]) != [height, width]:
            high, wide = code["size"]
            raise ValueError(f"its mask is {wide} x {high} px, the picture {width} x {height}")
        runs = runs_of(code["counts"])
        if (runs < 0).any() or int(runs.sum()) != height * width or height * width > MAX_PIXELS:
            raise ValueError("its run lengths do not fill the picture")
        inside = np.arange(len(runs)) % 2 == 1
        return np.repeat(inside, runs).reshape(width, height).T
    if not isinstance(code, list):
        raise ValueError("its segmentation is neither polygons nor run lengths")
    rings = [np.asarray(ring, np.float64).ravel() for ring in code]
    for ring in rings:
        if ring.size < 6 or ring.size % 2 or ring.size > 2 * _MAX_POINTS:
            raise ValueError("a polygon has too few, too many or half a point")
        far = (ring < -max(width, height)) | (ring > 2 * max(width, height))
        if far.any() or not np.isfinite(ring).all():
            raise ValueError("a polygon lies far outside the picture")
    codes = coco_mask.frPyObjects([ring.tolist() for ring in rings], height, width)
    return np.asarray(coco_mask.decode(coco_mask.merge(codes)), bool)


def _file(folder: Path) -> Path | None:
    return next((folder / name for name in FILES if (folder / name).is_file()), None)


def _entry(
    folder: Path, image: dict[str, Any], rows: list[dict[str, Any]], labels: dict[int, str]
) -> PictureEntry:
    named = Path(str(image["file_name"]).replace("\\", "/"))
    # By its bare name: a path in the file could lead anywhere.
    places = (folder / where / named.name for where in _FOLDERS)
    path = next((p for p in places if p.is_file()), None)
    if path is None:
        raise BadInput(f"The picture {named.name} is missing in {folder.name}; put it there.")
    group = str(image.get("video_id", "")) or _group(named.stem)
    return PictureEntry(
        name=named.stem,
        group=group,
        load=partial(load, path, named.stem, group, rows, labels),
    )


def _group(name: str) -> str:
    numbered = _NUMBERED.fullmatch(name)
    return numbered.group(1) if numbered else group_of(name)
