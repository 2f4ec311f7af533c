"""COCO instance annotations of a case's corrected frames.

Segmentations are COCO run-length codes, which are exact; ``polygons=True`` writes polygons instead
(0.5 px, holes lost), for tools that read nothing else. Frames are named by asset and 0-based index.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from app.core.case import Asset
from app.core.mask import Mask
from app.core.prediction import Instance
from app.core.taxonomy import Taxonomy
from app.overlay import contours_of
from app.store import files


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotatedFrame:
    """One frame that a human worked on.

    Attributes:
        asset: whose frame it is.
        pts, index: which frame; index is 0-based display order.
        instances: what is there after corrections.
        complete: a human said that nothing is missing.
    """

    asset: Asset
    pts: int
    index: int
    instances: tuple[Instance, ...]
    complete: bool


def file_name(frame: AnnotatedFrame) -> str:
    """The picture's name in the export."""
    return f"{frame.asset.asset_id}_{frame.index:07d}.png"


def write(
    path: Path,
    frames: Sequence[AnnotatedFrame],
    taxonomy: Taxonomy,
    info: dict[str, Any],
    *,
    polygons: bool = False,
) -> None:
    """Write one COCO JSON file.

    Args:
        path: the file; its folder exists.
        frames: annotated frames; each becomes an image, also without instances.
        taxonomy: categories in its order, ids from 1; labels it lacks follow.
        info: provenance for COCO's ``info``: tool version, taxonomy, index base and so on.
        polygons: write polygons instead of run lengths.
    """
    known = [i.key for i in taxonomy.instruments]
    extra = sorted({i.label for f in frames for i in f.instances} - set(known))
    ids = {key: n for n, key in enumerate([*known, *extra], start=1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, frame in enumerate(frames, start=1):
        # A recording may change its size in mid-stream; masks carry that of their frame.
        raster = frame.instances[0].mask if frame.instances else frame.asset
        images.append(
            {
                "id": number,
                "file_name": file_name(frame),
                "width": raster.width_px,
                "height": raster.height_px,
                "asset": frame.asset.asset_id,
                "frame_index": frame.index,
                "pts": frame.pts,
                "time_ms": round(frame.asset.time_ms(frame.pts), 3),
                "complete": frame.complete,
            }
        )
        masks = [instance.mask for instance in frame.instances]
        shapes = _polygons(masks) if polygons else [_rle(mask) for mask in masks]
        for instance, shape in zip(frame.instances, shapes, strict=True):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": ids[instance.label],
                    "iscrowd": 0,
                    "area": instance.mask.area_px,
                    "bbox": _box(instance.mask),
                    "segmentation": shape,
                    "track_id": instance.track,
                }
            )
    document = {
        "info": info,
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": [
            {"id": n, "name": key, "supercategory": "instrument"} for key, n in ids.items()
        ],
    }
    files.write_file(path, json.dumps(document, ensure_ascii=False).encode())


def _box(mask: Mask) -> list[int]:
    x0, y0, x1, y1 = mask.box
    return [x0, y0, x1 - x0, y1 - y0]


def _rle(mask: Mask) -> dict[str, Any]:
    code = coco_mask.encode(np.asfortranarray(mask.full().astype(np.uint8)))
    return {"size": list(code["size"]), "counts": code["counts"].decode("ascii")}


def _polygons(masks: Sequence[Mask]) -> list[list[list[float]]]:
    return [
        [ring.ravel().tolist() for ring in rings if len(ring) >= 3] for rings in contours_of(masks)
    ]
