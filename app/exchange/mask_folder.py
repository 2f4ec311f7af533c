"""Kvasir-SEG, and any pair of folders ``images`` and ``masks`` with files of the same names.

Masks are black and white, or have the values or colours of a ``labels.json`` beside the folders
(as EndoVis 2018 has it: a list of name, color and classid). Instances are connected parts.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from app.core.errors import BadInput
from app.core.picture import UNNAMED, LabelledPicture, PictureEntry
from app.exchange.images import read_rgb
from app.exchange.mask_image import (
    TABLE,
    MaskTable,
    check_size,
    parts_of,
    pictures_in,
    read_regions,
    read_table,
)

TITLE = "pictures in images/ with masks of the same names in masks/, such as Kvasir-SEG"
IMAGES = ("images", "image", "imgs")
MASKS = ("masks", "mask", "labels_png", "annotations_png")
_KVASIR_BOXES = "kavsir_bboxes.json"


def belongs(folder: Path) -> bool:
    """Whether the two folders are there."""
    pair = _pair(folder)
    return pair is not None and bool(pictures_in(pair[1]))


def entries(folder: Path) -> list[PictureEntry]:
    """The pictures that have a mask.

    Raises:
        BadInput: a mask has no picture, or a picture no mask; the sentence counts them.
    """
    pair = _pair(folder)
    if pair is None:
        return []
    images, masks = (pictures_in(p) for p in pair)
    for those, these, what in ((images, masks, "mask"), (masks, images, "picture")):
        if lone := sorted(those.keys() - these.keys()):
            raise BadInput(
                f"{len(lone)} of {len(those)} files in {folder.name} have no {what} of the same "
                f"name, {lone[0]} first; add them or move these away."
            )
    table = _table(folder)
    label = "" if table else _label(folder)
    return [
        PictureEntry(
            name=name,
            group=group_of(name),
            load=partial(load, images[name], masks[name], table, label),
        )
        for name in sorted(images)
    ]


def load(image: Path, mask: Path, table: MaskTable | None, label: str) -> LabelledPicture:
    """One picture with its mask; see ``mask_image.read_regions``."""
    rgb = read_rgb(image)
    regions = read_regions(mask, table, label)
    check_size(mask, regions, rgb)
    return LabelledPicture(
        name=image.stem, group=group_of(image.stem), rgb=rgb, instances=parts_of(regions)
    )


def group_of(name: str) -> str:
    """The operation that a file's name tells: what stands before ``-frame-`` or ``_frame_``."""
    for mark in ("-frame-", "_frame_", "_frame"):
        if mark in name:
            return name.split(mark)[0]
    return name


def _pair(folder: Path) -> tuple[Path, Path] | None:
    images = next((folder / n for n in IMAGES if (folder / n).is_dir()), None)
    masks = next((folder / n for n in MASKS if (folder / n).is_dir()), None)
    return None if images is None or masks is None else (images, masks)


def _table(folder: Path) -> MaskTable | None:
    """The table beside the folders, or beside the splits."""
    for where in (folder, folder.parent):
        if (where / TABLE).is_file():
            return read_table(where / TABLE)
    return None


def _label(folder: Path) -> str:
    names = "/".join(p.name.casefold() for p in (folder, *folder.absolute().parents[:2]))
    is_kvasir = (folder / _KVASIR_BOXES).is_file() or "kvasir" in names
    return "polyp" if is_kvasir else UNNAMED
