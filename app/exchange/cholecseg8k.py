"""CholecSeg8k: ``videoNN/videoNN_FFFFF/frame_K_endo.png`` with a watershed mask of 13 classes.

Source: specification of annotation formats, section 8. Its videos are those of Cholec80; one video
is one operation. Instances are connected parts.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from app.core.picture import LabelledPicture, PictureEntry
from app.exchange.images import read_rgb
from app.exchange.mask_image import MaskTable, check_size, parts_of, read_regions

TITLE = "CholecSeg8k (videoNN/videoNN_FFFFF/frame_K_endo.png)"
_IMAGE, _MASK = "_endo.png", "_endo_watershed_mask.png"

TABLE = MaskTable(
    values={
        50: None,  # beyond the round view
        0: None,  # rims, now and then
        255: None,
        11: "abdominal_wall",
        21: "liver",
        13: "gastrointestinal_tract",
        12: "fat",
        31: "grasper",
        23: "connective_tissue",
        24: "blood",
        25: "cystic_duct",
        32: "hook",
        22: "gallbladder",
        33: "hepatic_vein",
        5: "liver_ligament",
    },
    colours={},
)


def belongs(folder: Path) -> bool:
    """Whether a frame with its watershed mask is in it."""
    return next(folder.glob(f"*/*/frame_*{_MASK}"), None) is not None


def entries(folder: Path) -> list[PictureEntry]:
    """The frames that have a watershed mask."""
    found = []
    for mask in sorted(folder.glob(f"*/*/frame_*{_MASK}")):
        image = mask.with_name(mask.name.replace(_MASK, _IMAGE))
        video = mask.parent.parent.name
        name = f"{mask.parent.name}/{image.name.removesuffix(_IMAGE)}"
        if image.is_file():
            entry = PictureEntry(name=name, group=video, load=partial(load, image, mask, name))
            found.append(entry)
    return found


def load(image: Path, mask: Path, name: str) -> LabelledPicture:
    """One frame with its classes."""
    rgb = read_rgb(image)
    regions = read_regions(mask, TABLE)
    check_size(mask, regions, rgb)
    group = image.parent.parent.name
    return LabelledPicture(name=name, group=group, rgb=rgb, instances=parts_of(regions))
