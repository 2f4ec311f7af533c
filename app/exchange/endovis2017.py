"""EndoVis 2017, robotic instruments: ``instrument_dataset_k/left_frames`` with one folder a tool.

Source: specification of annotation formats, section 7. Full frames carry a black rim and are cut
to their useful 1280 x 1024; one dataset is one operation. Sets that were converted to one mask a
frame (``images`` and ``instruments_masks``, kinds times 32) are read as well: connected parts.
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
from app.exchange.mask_image import (
    MaskTable,
    check_size,
    key_of,
    parts_of,
    pictures_in,
    read_regions,
)

TITLE = "EndoVis 2017 (instrument_dataset_k/left_frames and ground_truth)"
CONVERTED_MASKS = "instruments_masks"
FULL_PX = (1080, 1920)
USEFUL = np.s_[28 : 28 + 1024, 320 : 320 + 1280]

KINDS = (
    "bipolar_forceps",
    "prograsp_forceps",
    "large_needle_driver",
    "vessel_sealer",
    "grasping_retractor",
    "monopolar_curved_scissors",
    "other",
)
CONVERTED = MaskTable(
    values={0: None, **{32 * n: kind for n, kind in enumerate(KINDS, 1)}}, colours={}
)
_PARTS = (0, 10, 20, 30)  # shaft, wrist, claspers
_SCALED_PARTS = (0, 85, 170, 255)


def belongs(folder: Path) -> bool:
    """Whether datasets with a ground truth are in it."""
    return bool(_datasets(folder))


def entries(folder: Path) -> list[PictureEntry]:
    """The frames that at least one tool's folder labels."""
    found = []
    for dataset in _datasets(folder):
        if (dataset / CONVERTED_MASKS).is_dir():
            found += _converted(dataset)
            continue
        tools = {
            path: pictures_in(path)
            for path in sorted((dataset / "ground_truth").iterdir())
            if path.is_dir()
        }
        for name, image in pictures_in(dataset / "left_frames").items():
            masks = tuple((kind_of(p.name), m[name]) for p, m in tools.items() if name in m)
            if masks:
                found.append(
                    PictureEntry(
                        name=f"{dataset.name}/{name}",
                        group=dataset.name,
                        load=partial(load, image, masks, dataset.name),
                    )
                )
    return found


def kind_of(folder_name: str) -> str:
    """The tool's kind that a folder is named after: ``Left_Prograsp_Forceps_labels``.

    Raises:
        BadInput: it names no kind of this dataset.
    """
    words = key_of(folder_name).removesuffix("_labels")
    for kind in KINDS:
        if kind in words:
            return kind
    raise BadInput(f"{folder_name} names no instrument of EndoVis 2017: {', '.join(KINDS)}.")


def load(image: Path, masks: tuple[tuple[str, Path], ...], group: str) -> LabelledPicture:
    """One frame; each tool's folder gives one instance, all its parts together."""
    rgb = read_rgb(image)
    is_full = rgb.shape[:2] == FULL_PX
    instances = []
    for kind, path in masks:
        plane = read_plane(path)
        plane = plane if plane.ndim == 2 else plane.max(2)
        if plane.shape != rgb.shape[:2]:
            raise BadInput(
                f"The mask {path.parent.name}/{path.name} is {plane.shape[1]} x {plane.shape[0]} "
                f"px, its picture {rgb.shape[1]} x {rgb.shape[0]}; give both the same size."
            )
        values, counts = np.unique(plane, return_counts=True)
        strange = ~np.isin(values, (*_PARTS, *_SCALED_PARTS))
        if strange.any():
            listed = ", ".join(
                f"the value {v} ({n} px)"
                for v, n in zip(values[strange][:5], counts[strange][:5], strict=True)
            )
            raise BadInput(
                f"The mask {path.parent.name}/{path.name} holds {listed}, which EndoVis 2017 has "
                "not."
            )
        mask = Mask.from_full(plane[USEFUL] if is_full else plane)
        if mask.bits.size:
            instances.append(Instance(label=kind, mask=mask))
    return LabelledPicture(
        name=f"{group}/{image.stem}",
        group=group,
        rgb=np.ascontiguousarray(rgb[USEFUL]) if is_full else rgb,
        instances=tuple(instances),
    )


def load_converted(image: Path, mask: Path, group: str) -> LabelledPicture:
    """One frame of a converted set."""
    rgb = read_rgb(image)
    regions = read_regions(mask, CONVERTED)
    check_size(mask, regions, rgb)
    return LabelledPicture(
        name=f"{group}/{image.stem}", group=group, rgb=rgb, instances=parts_of(regions)
    )


def _converted(dataset: Path) -> list[PictureEntry]:
    frames = pictures_in(dataset / "images")
    return [
        PictureEntry(
            name=f"{dataset.name}/{name}",
            group=dataset.name,
            load=partial(load_converted, frames[name], mask, dataset.name),
        )
        for name, mask in pictures_in(dataset / CONVERTED_MASKS).items()
        if name in frames
    ]


def _datasets(folder: Path) -> list[Path]:
    pairs = (("left_frames", "ground_truth"), ("images", CONVERTED_MASKS))
    return sorted(
        path.parent
        for frames, masks in pairs
        for path in folder.glob(f"*/{frames}")
        if (path.parent / masks).is_dir()
    )
