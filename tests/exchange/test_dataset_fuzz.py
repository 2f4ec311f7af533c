"""Damaged data sets: whatever the bytes, pictures come out or one sentence, never anything else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.errors import BadInput
from app.exchange.dataset import open_dataset

PICTURE = cv2.imencode(".png", np.full((24, 32, 3), 90, np.uint8))[1].tobytes()
MASK = cv2.imencode(".png", np.eye(24, 32, dtype=np.uint8) * 7)[1].tobytes()
TABLE = json.dumps([{"name": "bone", "color": [1, 2, 3], "classid": 7}]).encode()
COCO = json.dumps(
    {
        "images": [{"id": 1, "file_name": "a.png", "width": 32, "height": 24}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 2, "segmentation": [[1, 1, 9, 1, 9, 9]]},
            {"id": 2, "image_id": 1, "category_id": 2, "iscrowd": 1,
             "segmentation": {"size": [24, 32], "counts": [5, 3, 760]}},
        ],
        "categories": [{"id": 2, "name": "tool"}],
    }
).encode()  # fmt: skip
LABELME = json.dumps(
    {
        "shapes": [
            {"label": "a", "points": [[1, 1], [9, 1], [9, 9]], "group_id": None},
            {"label": "b", "points": [[1, 1], [9, 9]], "shape_type": "mask", "mask": "aGFsbG8="},
        ],
        "imagePath": "a.png",
    }
).encode()

# Layout -> its files; the first is damaged.
LAYOUTS: dict[str, dict[str, bytes]] = {
    "mask": {"masks/a.png": MASK, "images/a.png": PICTURE, "labels.json": TABLE},
    "table": {"labels.json": TABLE, "masks/a.png": MASK, "images/a.png": PICTURE},
    "coco": {"annotation_coco.json": COCO, "a.png": PICTURE},
    "yolo": {
        "labels/a.txt": b"0 0.1 0.1 0.9 0.1 0.9 0.9\n0 0.5 0.5 0.2 0.2\n",
        "images/a.png": PICTURE,
        "data.yaml": b"names: [tool]",
    },
    "names": {
        "data.yaml": b"names:\n  0: tool\n  1: bag\n",
        "labels/a.txt": b"0 0.1 0.1 0.9 0.1 0.9 0.9\n",
        "images/a.png": PICTURE,
    },
    "labelme": {"a.json": LABELME, "a.png": PICTURE},
    "endoarss": {"1/mask/a.png": MASK, "1/image/a.png": PICTURE},
    "endovis2018": {"seq_1/labels/a.png": MASK, "seq_1/left_frames/a.png": PICTURE},
}

# Whose first file is damaged as it stands: a mask of unknown values, a mask shape of no picture.
BY_DAMAGE = ("endovis2018", "labelme")


@st.composite
def damages(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """A few bytes changed, left out, doubled, or a number made impossible."""
    kind = draw(st.sampled_from(["change", "cut", "double", "number", "replace"]))
    share, many = draw(st.floats(0, 1)), draw(st.integers(1, 12))
    noise = draw(st.binary(min_size=1, max_size=12))
    number = draw(st.sampled_from([b"-1", b"1e308", b"99999999999", b"NaN", b"null", b"[]", b'""']))

    def damage(data: bytes) -> bytes:
        at = int(share * max(len(data) - 1, 0))
        if kind == "change":
            return data[:at] + noise + data[at + len(noise) :]
        if kind == "cut":
            return data[:at]
        if kind == "double":
            return data[:at] + data[max(0, at - many) : at] + data[at:]
        if kind == "replace":
            return noise
        digits = [i for i, byte in enumerate(data) if chr(byte).isdigit()]
        if not digits:
            return data + noise
        place = digits[int(share * (len(digits) - 1))]
        return data[:place] + number + data[place + 1 :]

    return damage


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(max_examples=40)
@given(damage=damages())
def test_damage_is_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, layout: str, damage: Callable[[bytes], bytes]
) -> None:
    folder: Path = tmp_path_factory.mktemp("set")
    for number, (name, data) in enumerate(LAYOUTS[layout].items()):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if number else damage(data))
    try:
        for picture in open_dataset(folder).pictures:
            assert picture.rgb.shape == (24, 32, 3)
    except BadInput as error:
        sentence = error.user_message
        assert sentence.endswith(".")
        assert "\n" not in sentence
        assert "Traceback" not in sentence


@pytest.mark.parametrize("layout", [n for n in LAYOUTS if n not in BY_DAMAGE])
def test_undamaged_they_are_read(tmp_path: Path, layout: str) -> None:
    for name, data in LAYOUTS[layout].items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (picture,) = open_dataset(tmp_path).pictures
    assert picture.instances
