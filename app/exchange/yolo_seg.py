"""YOLO-seg: a text file beside each picture, one polygon a line, sides as shares of the picture.

Source: specification of annotation formats, section 13. Two arrangements are about:
``images/train`` with ``labels/train``, and ``train/images`` with ``train/labels``; the classes'
names are in ``data.yaml`` above. A picture without a text file is one without objects.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from app.core.errors import BadInput
from app.core.mask import Mask
from app.core.picture import LabelledPicture, PictureEntry
from app.core.prediction import Instance
from app.exchange.images import read_rgb
from app.exchange.mask_folder import group_of
from app.exchange.mask_image import key_of, pictures_in

TITLE = "YOLO-seg (images/, labels/ with .txt files, data.yaml)"
NAMES = ("data.yaml", "data.yml", "dataset.yaml")
_MAX_BYTES = 16 * 2**20
_SPLITS = {"train": "train", "val": "validation", "valid": "validation", "test": "test"}
_NUMBERED = re.compile(r"\s+(\d+)\s*:\s*(.+)")
_DASHED = re.compile(r"\s*-\s*(.+)")


def belongs(folder: Path) -> bool:
    """Whether there are pictures and text files of labels."""
    return any(next(labels.glob("*.txt"), None) for _, _, labels in _pairs(folder))


def entries(folder: Path) -> list[PictureEntry]:
    """The pictures, by split where the folders are named after splits.

    Raises:
        BadInput: the names of the classes are missing or cannot be read.
    """
    places = (p / n for p in (folder, folder.parent) for n in NAMES)
    file = next((p for p in places if p.is_file()), None)
    if file is None:
        raise BadInput(f"{folder.name} has no data.yaml, so its classes have no names; add it.")
    names = read_names(file)
    found = []
    for split, images, labels in _pairs(folder):
        for stem, image in pictures_in(images).items():
            name, group = f"{split}/{stem}" if split else stem, group_of(stem)
            found.append(
                PictureEntry(
                    name=name,
                    group=name if group == stem else group,
                    split=split,
                    load=partial(load, image, labels / f"{stem}.txt", names),
                )
            )
    return found


def load(image: Path, labels: Path, names: tuple[str, ...]) -> LabelledPicture:
    """One picture with its polygons; a line of four numbers is a box.

    Raises:
        BadInput: a line is damaged; the sentence names it.
    """
    rgb = read_rgb(image)
    height, width = rgb.shape[:2]
    instances, boxes = [], []
    for number, line in enumerate(_lines(labels), 1):
        try:
            kind, *values = line.split()
            label = names[_class(kind, len(names))]
            points = np.array([float(v) for v in values])
            if len(points) % 2 or not np.isfinite(points).all() or np.abs(points - 0.5).max() > 1:
                raise ValueError("its points are not pairs of shares from 0 to 1")
        except (ValueError, IndexError) as error:
            raise BadInput(f"{labels.name}, line {number}: {error}.", str(error)) from error
        if len(points) == 4:
            x, y, w, h = points * (width, height, width, height)
            boxes.append((label, (x - w / 2, y - h / 2, x + w / 2, y + h / 2)))
            continue
        plane = np.zeros((height, width), np.uint8)
        corners = points.reshape(-1, 2) * (width, height) - 0.5
        cv2.fillPoly(plane, [np.round(corners).astype(np.int32)], 1)
        if plane.any():
            instances.append(Instance(label=label, mask=Mask.from_full(plane)))
    return LabelledPicture(
        name=image.stem,
        group=group_of(image.stem),
        rgb=rgb,
        instances=tuple(instances),
        boxes=tuple(boxes),
    )


def read_names(file: Path) -> tuple[str, ...]:
    """The classes of a ``data.yaml``: its ``names`` as ``[a, b]``, as ``- a`` or as ``0: a``.

    Raises:
        BadInput: it has none that can be read.
    """
    lines = [line.split(" #")[0].rstrip() for line in _lines(file)]
    start = next((i for i, line in enumerate(lines) if line.startswith("names:")), None)
    if start is None:
        raise BadInput(f"{file.name} has no names; it should list the classes under names.")
    inline = lines[start].removeprefix("names:").strip()
    named: dict[int, str] = {}
    if inline:
        if not (inline.startswith("[") and inline.endswith("]")):
            raise BadInput(f"The names in {file.name} cannot be read; write them as [a, b].")
        named = dict(enumerate(inline[1:-1].split(",")))
    for line in () if inline else lines[start + 1 :]:
        if numbered := _NUMBERED.fullmatch(line):
            named[int(numbered.group(1))] = numbered.group(2)
        elif dashed := _DASHED.fullmatch(line):
            named[len(named)] = dashed.group(1)
        elif line:
            break
    names = tuple(key_of(named.get(n, "").strip().strip("'\"")) for n in range(len(named)))
    if not names or "" in names:
        raise BadInput(f"The names in {file.name} cannot be read; write them as [a, b].")
    return names


def _class(text: str, count: int) -> int:
    value = int(text)
    if not 0 <= value < count:
        raise ValueError(f"the class {value} is not among the {count} of data.yaml")
    return value


def _lines(file: Path) -> list[str]:
    """The lines that are not blank; none where there is no such file."""
    try:
        if not file.is_file():
            return []
        if file.stat().st_size > _MAX_BYTES:
            raise BadInput(f"{file.name} is larger than 16 MiB; it was not read.")
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{file.name} cannot be read.", str(error)) from error
    return [line for line in text.splitlines() if line.strip()]


def _pairs(folder: Path) -> list[tuple[str, Path, Path]]:
    """(split, folder of pictures, folder of labels)."""
    images, labels = folder / "images", folder / "labels"
    if not images.is_dir() or not labels.is_dir():
        return []
    found = [
        (split, images / name, labels / name)
        for name, split in _SPLITS.items()
        if (images / name).is_dir() and (labels / name).is_dir()
    ]
    return found or [("", images, labels)]
