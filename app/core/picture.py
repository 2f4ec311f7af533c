"""A labelled picture: what public datasets hold, what training and evaluation read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.core import validate
from app.core.mask import Mask
from app.core.prediction import Instance


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
    """

    name: str
    group: str
    rgb: NDArray[np.uint8]
    instances: tuple[Instance, ...] = ()
    ignore: Mask | None = None
    boxes: tuple[tuple[str, tuple[float, float, float, float]], ...] = ()

    def __post_init__(self) -> None:
        validate.array("LabelledPicture.rgb", self.rgb, 3, np.uint8)
        height, width = self.rgb.shape[:2]
        for instance in self.instances:
            if (instance.mask.width_px, instance.mask.height_px) != (width, height):
                raise ValueError(
                    f"LabelledPicture {self.name}: expected masks of {width} x {height}, got "
                    f"{instance.mask.width_px} x {instance.mask.height_px}"
                )
