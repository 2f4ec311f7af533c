"""COCO export read back by pycocotools: the same pixels, times and classes."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO

from app.core.mask import Mask
from app.core.prediction import Instance
from app.core.taxonomy import find_taxonomy
from app.exchange import coco
from tests.helpers.human_work import HEIGHT_PX, WIDTH_PX, asset, mask


def read_back(path: Path) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


def write(path: Path, *, polygons: bool = False) -> list[coco.AnnotatedFrame]:
    round_mask = np.zeros((HEIGHT_PX, WIDTH_PX), bool)
    y, x = np.mgrid[:HEIGHT_PX, :WIDTH_PX]
    round_mask[(x - 30) ** 2 + (y - 20) ** 2 < 150] = True
    masks = [Mask.from_full(round_mask)] if polygons else [mask(1), mask(2)]
    instances = tuple(
        Instance(label=label, mask=m, track=7)
        for label, m in zip(("hook", "laser"), masks, strict=False)
    )
    frames = [
        coco.AnnotatedFrame(asset=asset(), pts=512, index=1, instances=instances, complete=True),
        coco.AnnotatedFrame(asset=asset(), pts=1024, index=2, instances=(), complete=False),
    ]
    coco.write(path, frames, find_taxonomy("cholecystectomy"), {"version": "1"}, polygons=polygons)
    return frames


def test_masks_come_back_exactly(tmp_path: Path) -> None:
    path = tmp_path / "annotations.json"
    frames = write(path)
    data = read_back(path)
    assert len(data.imgs) == 2
    image = data.imgs[1]
    assert (image["frame_index"], image["pts"], image["time_ms"]) == (1, 512, 40.0)
    names = {c["id"]: c["name"] for c in data.dataset["categories"]}
    for annotation, instance in zip(data.anns.values(), frames[0].instances, strict=True):
        assert names[annotation["category_id"]] == instance.label
        back = data.annToMask(annotation).astype(bool)
        assert np.array_equal(back, instance.mask.full())
        assert annotation["area"] == instance.mask.area_px


def test_polygons_for_tools_that_want_them(tmp_path: Path) -> None:
    path = tmp_path / "annotations.json"
    frames = write(path, polygons=True)
    data = read_back(path)
    back = data.annToMask(data.anns[1]).astype(bool)
    truth = frames[0].instances[0].mask.full()
    assert (back & truth).sum() / (back | truth).sum() == pytest.approx(1, abs=0.08)


def test_a_frame_of_another_size_is_written_in_its_own(tmp_path: Path) -> None:
    small = Instance(label="hook", mask=Mask.from_full(np.ones((10, 12), bool)))
    frame = coco.AnnotatedFrame(asset=asset(), pts=512, index=1, instances=(small,), complete=True)
    path = tmp_path / "annotations.json"
    coco.write(path, [frame], find_taxonomy("cholecystectomy"), {})
    data = read_back(path)
    assert (data.imgs[1]["width"], data.imgs[1]["height"]) == (12, 10)
    assert data.annToMask(data.anns[1]).shape == (10, 12)
