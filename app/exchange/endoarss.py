"""EndoARSS: folders numbered by activity, each with ``image`` and grey ``mask`` pictures.

Source: specification of segmentation models, section 2.3. Values above 0 are lowered by 1, as the
published loader does, so 0 and 1 are both background. The classes' names are not published: they
come from a ``labels.json`` beside the splits (a list of name and classid, counted after the
lowering), else they are called by their numbers.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from app.core.errors import BadInput
from app.core.mask import Mask
from app.core.picture import LabelledPicture, PictureEntry
from app.core.prediction import Instance
from app.exchange.images import read_plane, read_rgb
from app.exchange.mask_image import TABLE, pictures_in, read_table

TITLE = "EndoARSS (folders 1, 2, … by activity, each with image/ and mask/)"
MOST_CLASSES = 64


def belongs(folder: Path) -> bool:
    """Whether it holds numbered folders with pictures and masks."""
    return bool(_activities(folder))


def entries(folder: Path) -> list[PictureEntry]:
    """The pictures that have a mask, with the activity of their folder."""
    table = next((t for t in (folder / TABLE, folder.parent / TABLE) if t.is_file()), None)
    names = {} if table is None else dict(read_table(table).values)
    found = []
    for activity in _activities(folder):
        masks = pictures_in(activity / "mask")
        for stem, image in pictures_in(activity / "image").items():
            if stem in masks:
                name = f"{activity.name}/{stem}"
                found.append(
                    PictureEntry(
                        name=name, group=name, load=partial(load, image, masks[stem], names)
                    )
                )
    return found


def load(image: Path, mask: Path, names: dict[int, str | None]) -> LabelledPicture:
    """One picture; each semantic class is one region, together with its activity's number.

    Raises:
        BadInput: the mask is of another size, coloured, or holds more classes than there can be.
    """
    rgb, plane = read_rgb(image), read_plane(mask)
    if plane.ndim == 3:
        if (plane != plane[..., :1]).any():
            raise BadInput(f"The mask {mask.name} is coloured; EndoARSS has grey values.")
        plane = plane[..., 0]
    if plane.shape != rgb.shape[:2]:
        raise BadInput(
            f"The mask {mask.name} is {plane.shape[1]} x {plane.shape[0]} px, its picture "
            f"{rgb.shape[1]} x {rgb.shape[0]}; give both the same size."
        )
    values, counts = np.unique(plane, return_counts=True)
    if values[-1] > MOST_CLASSES:
        listed = ", ".join(
            f"the value {v} ({n} px)"
            for v, n in zip(values[-5:].tolist(), counts[-5:].tolist(), strict=True)
            if v > MOST_CLASSES
        )
        raise BadInput(f"The mask {mask.name} holds {listed}, which are no classes of EndoARSS.")
    instances = []
    for value in values[values > 1].tolist():
        label = names.get(value - 1, f"class_{value - 1}")
        if label is not None:
            instances.append(Instance(label=label, mask=Mask.from_full(plane == value)))
    activity = image.parent.parent.name
    return LabelledPicture(
        name=f"{activity}/{image.stem}",
        group=f"{activity}/{image.stem}",
        rgb=rgb,
        instances=tuple(instances),
        activity=activity,
    )


def _activities(folder: Path) -> list[Path]:
    """The numbered folders, by number; any other name means another layout."""
    found = [p for p in folder.iterdir() if p.is_dir() and (p / "image").is_dir()]
    if not found or not all(p.name.isdecimal() and (p / "mask").is_dir() for p in found):
        return []
    return sorted(found, key=lambda p: int(p.name))
