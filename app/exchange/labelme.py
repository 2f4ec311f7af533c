"""LabelMe: a JSON file beside each picture, polygons in float pixels, origin top left.

The label ``ignore`` marks pixels about which nothing is known.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from app.core.errors import BadInput
from app.core.mask import Mask
from app.core.picture import LabelledPicture, PictureEntry
from app.core.prediction import Instance
from app.exchange.images import read_rgb
from app.exchange.jsonfile import read_json

TITLE = "LabelMe (a JSON file for each picture, beside it or in labels/), such as PELD"
IGNORE = "ignore"
MAX_POINTS = 100_000
MAX_SHAPES = 1000
MAX_MASK_BYTES = 16 * 2**20


def belongs(folder: Path) -> bool:
    """Whether JSON files with shapes are in it."""
    file = next(iter(_files(folder)), None)
    return file is not None and '"shapes"' in _head(file)


def entries(folder: Path) -> list[PictureEntry]:
    """The pictures that have a LabelMe file."""
    return [
        PictureEntry(
            name=file.stem, group=_group(file.stem), load=partial(read_picture, file, folder)
        )
        for file in _files(folder)
    ]


def read_folder(images: Path, labels: Path | None = None) -> Iterator[LabelledPicture]:
    """All pictures of a folder that have a LabelMe file, sorted by name.

    Args:
        images: folder of pictures.
        labels: folder of the JSON files; default ``images/labels`` if it exists, else ``images``.

    Raises:
        BadInput: no LabelMe file is there, or one cannot be read.
    """
    files = _files(images, labels)
    if not files:
        raise BadInput(f"The folder {(labels or images).name} holds no LabelMe files (*.json).")
    for file in files:
        yield read_picture(file, images)


def read_picture(file: Path, images: Path) -> LabelledPicture:
    """One LabelMe file with its picture.

    Shapes of one ``group_id`` and label are one instance. The group is the file name up to
    ``-frame-``, else the whole name.
    """
    data = read_json(file)
    try:
        picture = images / Path(str(data["imagePath"]).replace("\\", "/")).name
        if len(data["shapes"]) > MAX_SHAPES:
            raise ValueError(f"more than {MAX_SHAPES} shapes")
        shapes = [_shape(s) for s in data["shapes"]]
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{file.name} is not a LabelMe file: {error}.", str(error)) from error
    rgb = read_rgb(picture)
    height, width = rgb.shape[:2]
    said = data.get("imageWidth"), data.get("imageHeight")
    if None not in said and said != (width, height):
        raise BadInput(
            f"{file.name} is of a picture of {said[0]} x {said[1]} px, {picture.name} is {width} x "
            f"{height}; label the picture again or put the right one there."
        )
    planes: dict[tuple[str, object], NDArray[np.uint8]] = {}
    for number, (label, group, polygon, patch) in enumerate(shapes):
        if polygon is None:
            continue
        size = np.array([width, height])
        if ((polygon < -size) | (polygon > 2 * size)).any():
            raise BadInput(f"{file.name}: a shape {label!r} lies far outside the picture.")
        key = (label, ("group", group) if group is not None else ("shape", number))
        plane = planes.setdefault(key, np.zeros((height, width), np.uint8))
        corners = np.round(polygon).astype(np.int32)
        if patch is None:
            cv2.fillPoly(plane, [corners], 1)
        elif not _put(plane, patch, corners[0]):
            raise BadInput(f"{file.name}: the mask of a shape {label!r} does not fit its box.")
    ignore = np.zeros((height, width), bool)
    instances = []
    for (label, _), plane in planes.items():
        if label == IGNORE:
            ignore |= plane.astype(bool)
        elif plane.any():
            instances.append(Instance(label=label, mask=Mask.from_full(plane)))
    return LabelledPicture(
        name=picture.stem,
        group=_group(picture.stem),
        rgb=rgb,
        instances=tuple(instances),
        ignore=Mask.from_full(ignore) if ignore.any() else None,
    )


def _files(images: Path, labels: Path | None = None) -> list[Path]:
    where = labels or (images / "labels" if (images / "labels").is_dir() else images)
    return sorted(where.glob("*.json"))


def _head(file: Path) -> str:
    """Its first 64 KiB; pictures inside a file may stand before the shapes, so is its end."""
    try:
        with file.open("rb") as stream:
            start = stream.read(1 << 16)
            stream.seek(max(0, file.stat().st_size - (1 << 16)))
            return (start + stream.read()).decode("utf-8", "replace")
    except OSError as error:
        raise BadInput(f"{file.name} cannot be read.", str(error)) from error


def _group(name: str) -> str:
    return name.split("-frame-")[0]


def _put(plane: NDArray[np.uint8], patch: NDArray[np.uint8], corner: NDArray[np.int32]) -> bool:
    """Draws a patch with its upper left pixel at a corner; False where it does not fit."""
    x, y = (int(v) for v in corner)
    height, width = patch.shape
    if x < 0 or y < 0 or y + height > plane.shape[0] or x + width > plane.shape[1]:
        return False
    plane[y : y + height, x : x + width] |= patch
    return True


Shape = tuple[str, object, NDArray[np.float64] | None, NDArray[np.uint8] | None]


def _shape(shape: dict[str, Any]) -> Shape:
    """Label, group, corners of the polygon or of the box, and the pixels of a mask in that box."""
    label = str(shape["label"]).strip().lower().replace(" ", "_")
    group = shape.get("group_id")
    if not label or not isinstance(group, int | str | None):
        raise ValueError(f"a shape {label!r} has no label or an impossible group")
    points = np.asarray(shape["points"], np.float64).reshape(-1, 2)
    if len(points) > MAX_POINTS or not np.isfinite(points).all():
        raise ValueError(f"a shape {label!r} has impossible points")
    kind = shape.get("shape_type", "polygon")
    if kind == "mask" and len(points) == 2:
        return label, group, points, _patch(shape["mask"], label)
    if kind == "rectangle" and len(points) == 2:
        (x0, y0), (x1, y1) = points
        points = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
    elif kind == "circle" and len(points) == 2:
        radius = float(np.hypot(*(points[1] - points[0])))
        angles = np.linspace(0, 2 * np.pi, 64, endpoint=False)
        points = points[0] + radius * np.stack((np.cos(angles), np.sin(angles)), -1)
    elif kind != "polygon" or len(points) < 3:
        return label, group, None, None
    return label, group, points, None


def _patch(text: object, label: str) -> NDArray[np.uint8]:
    """The pixels of a mask shape, 0 or 1, out of its base64 PNG."""
    if not isinstance(text, str) or len(text) > MAX_MASK_BYTES:
        raise ValueError(f"a shape {label!r} has no mask that can be read")
    data = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
    try:
        plane = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE) if data.size else None
    except cv2.error:
        plane = None
    if plane is None:
        raise ValueError(f"a shape {label!r} has no mask that can be read")
    return (plane > 0).astype(np.uint8)
