"""A labelled picture: what public datasets hold, what training and evaluation read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import overload

import numpy as np
from numpy.typing import NDArray

from app.core import validate
from app.core.mask import Mask
from app.core.prediction import Instance

UNNAMED = "object"
"""The label of what a dataset outlines and does not name; it stands for a model's only class."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelledPicture:
    """One picture with its instances.

    Attributes:
        name: unique within its dataset.
        group: the operation or patient; splits go by it, never by picture.
        rgb: uint8 (H, W, 3).
        instances: what is annotated, scores None.
        ignore: pixels about which nothing is known, None when all is known.
        boxes: (label, (x0, y0, x1, y1) in pixels) of objects without a mask.
        activity: what is being done, where the dataset says so.
    """

    name: str
    group: str
    rgb: NDArray[np.uint8]
    instances: tuple[Instance, ...] = ()
    ignore: Mask | None = None
    boxes: tuple[tuple[str, tuple[float, float, float, float]], ...] = ()
    activity: str = ""

    def __post_init__(self) -> None:
        validate.array("LabelledPicture.rgb", self.rgb, 3, np.uint8)
        height, width = self.rgb.shape[:2]
        for instance in self.instances:
            if (instance.mask.width_px, instance.mask.height_px) != (width, height):
                raise ValueError(
                    f"LabelledPicture {self.name}: expected masks of {width} x {height}, got "
                    f"{instance.mask.width_px} x {instance.mask.height_px}"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureEntry:
    """One picture of a dataset that has not been read yet.

    Attributes:
        name, group: of the ``LabelledPicture`` that comes of it.
        split: "train", "validation" or "test" where the dataset says so, else empty.
        load: reads it; can be sent to another process.
    """

    name: str
    group: str
    split: str = ""
    load: Callable[[], LabelledPicture]


class Pictures(Sequence[LabelledPicture]):
    """Pictures of a dataset, each read when it is asked for: a dataset may not fit in memory.

    Attributes:
        entries: what there is.
    """

    def __init__(self, entries: Sequence[PictureEntry]) -> None:
        self.entries = tuple(entries)

    def __len__(self) -> int:
        return len(self.entries)

    @overload
    def __getitem__(self, index: int) -> LabelledPicture: ...
    @overload
    def __getitem__(self, index: slice) -> Pictures: ...
    def __getitem__(self, index: int | slice) -> LabelledPicture | Pictures:
        if isinstance(index, slice):
            return Pictures(self.entries[index])
        entry = self.entries[index]
        return replace(entry.load(), name=entry.name, group=entry.group)
