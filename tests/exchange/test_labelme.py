"""LabelMe files: polygons to masks, instances by group, zones to ignore, bad files."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from app.core.errors import BadInput
from app.exchange import labelme
from app.overlay import contours, mask_from_polygon


def write_pair(
    folder: Path,
    shapes: list[dict[str, object]],
    name: str = "op-frame-1",
    size: tuple[int, int] = (60, 80),
) -> Path:
    picture = np.full((*size, 3), 90, np.uint8)
    _, data = cv2.imencode(".png", picture)
    (folder / f"{name}.png").write_bytes(data.tobytes())
    file = folder / f"{name}.json"
    file.write_text(json.dumps({"imagePath": f"..\\x\\{name}.png", "shapes": shapes}))
    return file


def polygon(label: str, points: list[list[float]], group: int | None = None) -> dict[str, object]:
    return {"label": label, "points": points, "group_id": group, "shape_type": "polygon"}


SQUARE = [[10, 10], [20, 10], [20, 20], [10, 20]]
OTHER = [[40, 10], [50, 10], [50, 20], [40, 20]]


def test_masks_groups_and_ignore(tmp_path: Path) -> None:
    shapes = [
        polygon("Grasper", SQUARE, 1),
        polygon("grasper", OTHER, 1),
        polygon("hook", [[60, 30], [70, 30], [70, 50]]),
        polygon("ignore", [[0, 40], [20, 40], [20, 59], [0, 59]]),
        {"label": "hook", "points": [[1, 1]], "shape_type": "point", "group_id": None},
    ]
    write_pair(tmp_path, shapes)
    (picture,) = labelme.read_folder(tmp_path)
    assert picture.group == "op"
    assert [i.label for i in picture.instances] == ["grasper", "hook"]
    grasper = picture.instances[0].mask.full()
    assert grasper[15, 15]
    assert grasper[15, 45]
    assert not grasper[15, 30]
    assert picture.ignore is not None
    assert picture.ignore.full()[50, 10]


def test_rectangle_and_circle(tmp_path: Path) -> None:
    shapes: list[dict[str, object]] = [
        {"label": "a", "points": [[10, 10], [20, 30]], "shape_type": "rectangle"},
        {"label": "b", "points": [[50, 30], [60, 30]], "shape_type": "circle"},
    ]
    write_pair(tmp_path, shapes)
    (picture,) = labelme.read_folder(tmp_path)
    assert picture.instances[0].mask.area_px == 11 * 21
    # fillPoly draws the border too.
    assert picture.instances[1].mask.area_px == pytest.approx(np.pi * 100, rel=0.15)


@pytest.mark.parametrize(
    "content", ["[]", '{"shapes": 3, "imagePath": "op-frame-1.png"}', '{"shapes": []}']
)
def test_not_a_labelme_file(tmp_path: Path, content: str) -> None:
    file = write_pair(tmp_path, [])
    file.write_text(content)
    with pytest.raises(BadInput, match=r"op-frame-1\.json is not a LabelMe file"):
        list(labelme.read_folder(tmp_path))


@pytest.mark.parametrize(
    ("shapes", "reason"),
    [
        ([polygon("  ", SQUARE)], "no label"),
        ([polygon("hook", SQUARE) | {"group_id": [1]}], "impossible group"),
        ([polygon("hook", [[1e300, 5], [2, 3], [4, 4]])], "far outside"),
        ([polygon("hook", [[-1e9, 5], [1e9, 3], [4, 4]])], "far outside"),
        ([polygon("hook", SQUARE)] * (labelme.MAX_SHAPES + 1), "more than 1000 shapes"),
    ],
)
def test_impossible_shapes_have_a_sentence(
    tmp_path: Path, shapes: list[dict[str, object]], reason: str
) -> None:
    write_pair(tmp_path, shapes)
    with pytest.raises(BadInput, match=rf"op-frame-1\.json.*{reason}"):
        list(labelme.read_folder(tmp_path))


def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no LabelMe files"):
        list(labelme.read_folder(tmp_path))


def test_picture_that_is_none(tmp_path: Path) -> None:
    write_pair(tmp_path, [])
    (tmp_path / "op-frame-1.png").write_bytes(b"no picture")
    with pytest.raises(BadInput, match=r"op-frame-1\.png is not a picture"):
        list(labelme.read_folder(tmp_path))


@pytest.mark.parametrize("seed", range(4))
def test_polygons_become_masks_and_polygons_again(tmp_path: Path, seed: int) -> None:
    """A wobbly outline in a frame of PELD's size, read, traced, written and read once more."""
    angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    rng = np.random.default_rng(seed)
    waves = sum(rng.uniform(0, 22) * np.sin(k * angles + rng.uniform(0, 6)) for k in range(2, 6))
    points = np.stack((np.cos(angles), np.sin(angles)), 1) * (140 + waves)[:, None] + (540, 360)
    write_pair(tmp_path, [polygon("nerve", points.tolist())], size=(720, 1080))
    (first,) = next(iter(labelme.read_folder(tmp_path))).instances
    rings = contours(first.mask)
    assert mask_from_polygon(rings, 1080, 720).iou(first.mask) == 1
    (ring,) = contours(first.mask, tolerance_px=1.0)
    assert 20 < len(ring) < 400
    write_pair(tmp_path, [polygon("nerve", ring.tolist())], size=(720, 1080))
    (second,) = next(iter(labelme.read_folder(tmp_path))).instances
    assert second.label == first.label
    assert second.mask.iou(first.mask) > 0.98


def test_the_real_frames(shared_data: Path) -> None:
    pictures = list(labelme.read_folder(shared_data / "lap_frames_mit"))
    assert len(pictures) == 60
    assert sum(len(p.instances) for p in pictures) == 94
    assert sum(p.ignore is not None for p in pictures) >= 5
    assert {p.group for p in pictures} >= {"00001-21711", "00010-23313"}


def test_a_mask_shape_is_the_pixels_in_its_box(tmp_path: Path) -> None:
    patch = np.zeros((12, 20), np.uint8)
    patch[2:9, 3:15] = 255
    text = base64.b64encode(cv2.imencode(".png", patch)[1].tobytes()).decode()
    shape: dict[str, object] = {
        "label": "fat", "points": [[30, 20], [49, 31]], "shape_type": "mask", "mask": text,
    }  # fmt: skip
    write_pair(tmp_path, [shape])
    (picture,) = labelme.read_folder(tmp_path)
    assert picture.instances[0].mask.box == (33, 22, 45, 29)
    assert picture.instances[0].mask.area_px == 7 * 12
    for wrong, said in (
        ({"points": [[70, 20], [89, 31]]}, "does not fit its box"),
        ({"mask": "%%%"}, "is not a LabelMe file"),
        ({"mask": base64.b64encode(b"no picture").decode()}, "no mask that can be read"),
        ({"mask": None}, "no mask that can be read"),
    ):
        write_pair(tmp_path, [{**shape, **wrong}])
        with pytest.raises(BadInput, match=said):
            list(labelme.read_folder(tmp_path))
