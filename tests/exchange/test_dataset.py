"""Public layouts of labelled pictures: each written as its authors do, and read back."""

from __future__ import annotations

import json
import pickle
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from app.core.errors import BadInput
from app.core.picture import LabelledPicture
from app.exchange.coco_folder import runs_of
from app.exchange.dataset import open_dataset
from app.exchange.endovis2018 import CLASSES
from app.exchange.yolo_seg import read_names

SIZE = (48, 64)


def write(path: Path, picture: NDArray[np.uint8], quality: int = 90) -> Path:
    """A picture; RGB where it has colours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bgr = picture[..., ::-1] if picture.ndim == 3 else picture
    _, data = cv2.imencode(path.suffix, bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    path.write_bytes(data.tobytes())
    return path


def frame(seed: int = 0, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 255, (*size, 3)).astype(np.uint8)


def two_blobs(size: tuple[int, int] = SIZE) -> NDArray[np.bool_]:
    plane = np.zeros(size, bool)
    plane[5:20, 5:25] = True
    plane[30:44, 40:60] = True
    return plane


def only(folder: Path) -> LabelledPicture:
    dataset = open_dataset(folder)
    # What the loader processes of training get.
    (picture,) = pickle.loads(pickle.dumps(dataset.pictures))
    assert isinstance(picture, LabelledPicture)
    return picture


def covered(picture: LabelledPicture, label: str) -> NDArray[np.bool_]:
    plane = np.zeros(picture.rgb.shape[:2], bool)
    for instance in picture.instances:
        if instance.label == label:
            plane |= instance.mask.full()
    return plane


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_masks_beside_pictures_give_connected_parts(tmp_path: Path, suffix: str) -> None:
    """A JPEG mask is grey round every border, as Kvasir-SEG's are."""
    folder = tmp_path / "Kvasir-SEG" / "train"
    write(folder / "images" / "cju0.jpg", frame())
    mask = write(folder / "masks" / f"cju0{suffix}", two_blobs().astype(np.uint8) * 255, 75)
    if suffix == ".jpg":
        assert len(np.unique(cv2.imread(str(mask), cv2.IMREAD_GRAYSCALE))) > 4
    picture = only(folder)
    assert [i.label for i in picture.instances] == ["polyp", "polyp"]
    assert (covered(picture, "polyp") == two_blobs()).mean() > 0.995
    assert {s: len(open_dataset(folder.parent).split(s)) for s in ("train", "test")} == {
        "train": 1,
        "test": 0,
    }


def test_without_a_name_what_is_white_is_an_object(tmp_path: Path) -> None:
    write(tmp_path / "images" / "a.png", frame())
    write(tmp_path / "masks" / "a.png", two_blobs().astype(np.uint8))
    picture = only(tmp_path)
    assert {i.label for i in picture.instances} == {"object"}
    assert (covered(picture, "object") == two_blobs()).all()


@pytest.mark.parametrize("coloured", [False, True])
def test_a_table_names_values_and_colours(tmp_path: Path, coloured: bool) -> None:
    table = [
        {"name": "Background", "color": [0, 0, 0], "classid": 0},
        {"name": "Lig. flavum", "color": [200, 30, 30], "classid": 7},
    ]
    (tmp_path / "labels.json").write_text(json.dumps(table))
    write(tmp_path / "images" / "a.png", frame())
    plane = np.where(two_blobs(), 7, 0).astype(np.uint8)
    colours = np.where(two_blobs()[..., None], (200, 30, 30), (0, 0, 0)).astype(np.uint8)
    write(tmp_path / "masks" / "a.png", colours if coloured else plane)
    assert (covered(only(tmp_path), "lig._flavum") == two_blobs()).all()
    # Nine pixels of a value, or colour, that the table has not.
    plane[:3, :3], colours[:3, :3] = 9, (1, 2, 3)
    write(tmp_path / "masks" / "a.png", colours if coloured else plane)
    said = r"the colour \(1, 2, 3\) \(9 px\)" if coloured else r"the value 9 \(9 px\)"
    with pytest.raises(BadInput, match=said):
        only(tmp_path)


def test_coloured_jpeg_masks_are_read_by_the_nearest_colour(tmp_path: Path) -> None:
    table = [{"name": "background", "color": [0, 0, 0]}, {"name": "bone", "color": [220, 40, 40]}]
    (tmp_path / "labels.json").write_text(json.dumps(table))
    write(tmp_path / "images" / "a.jpg", frame())
    colours = np.where(two_blobs()[..., None], (220, 40, 40), (0, 0, 0)).astype(np.uint8)
    write(tmp_path / "masks" / "a.jpg", colours, 80)
    assert (covered(only(tmp_path), "bone") == two_blobs()).mean() > 0.97
    colours[:24] = (20, 30, 240)
    write(tmp_path / "masks" / "a.jpg", colours, 95)
    with pytest.raises(BadInput, match=r"the colour \(\d+, \d+, 2\d+\).* px\)"):
        only(tmp_path)


@settings(max_examples=25)
@given(st.dictionaries(st.integers(2, 254), st.integers(1, 40), min_size=1, max_size=9))
def test_every_unknown_value_is_counted(
    tmp_path_factory: pytest.TempPathFactory, strange: dict[int, int]
) -> None:
    folder = tmp_path_factory.mktemp("masks")
    write(folder / "images" / "a.png", frame())
    plane = np.zeros(SIZE, np.uint8).ravel()
    plane[: sum(strange.values())] = np.repeat(list(strange), list(strange.values()))
    write(folder / "masks" / "a.png", plane.reshape(SIZE))
    with pytest.raises(BadInput) as caught:
        only(folder)
    shown = sorted(strange.values(), reverse=True)[:5]
    for count in shown:
        assert f"({count} px)" in caught.value.user_message
    assert ("more besides" in caught.value.user_message) == (len(strange) > 5)
    assert caught.value.user_message.count(". ") == 0


def test_masks_and_pictures_that_do_not_go_together(tmp_path: Path) -> None:
    write(tmp_path / "images" / "a.png", frame())
    write(tmp_path / "masks" / "a.png", two_blobs((48, 60)).astype(np.uint8))
    with pytest.raises(BadInput, match=r"a\.png is 60 x 48 px, its picture 64 x 48"):
        only(tmp_path)
    write(tmp_path / "images" / "b.png", frame())
    with pytest.raises(BadInput, match=r"1 of 2 files .* have no mask of the same name, b first"):
        open_dataset(tmp_path)


def test_a_folder_of_no_layout_says_which_there_are(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(BadInput, match=r"none of the layouts.*EndoVis 2017.*Kvasir-SEG.*LabelMe"):
        open_dataset(tmp_path)
    with pytest.raises(BadInput, match="There is no folder gone"):
        open_dataset(tmp_path / "gone")


def test_endovis_2017_is_cut_to_its_useful_part(tmp_path: Path) -> None:
    base = tmp_path / "instrument_dataset_3"
    write(base / "left_frames" / "frame000.png", frame(1, (1080, 1920)))
    for name, value, x in (
        ("Left_Prograsp_Forceps", 10, 400),
        ("Maryland_Bipolar_Forceps", 30, 900),
    ):
        plane = np.zeros((1080, 1920), np.uint8)
        plane[100:140, x : x + 50] = value
        plane[140:150, x : x + 50] = 20
        write(base / "ground_truth" / f"{name}_labels" / "frame000.png", plane)
    picture = only(tmp_path)
    assert picture.rgb.shape == (1024, 1280, 3)
    assert picture.group == "instrument_dataset_3"
    found = {i.label: i.mask.box for i in picture.instances}
    assert found == {
        "prograsp_forceps": (80, 72, 130, 122),
        "bipolar_forceps": (580, 72, 630, 122),
    }
    plane[0, :7] = 77
    write(base / "ground_truth" / "Other_labels" / "frame000.png", plane)
    with pytest.raises(BadInput, match=r"the value 77 \(7 px\)"):
        only(tmp_path)


def test_endovis_2017_converted_to_one_mask_a_frame(tmp_path: Path) -> None:
    plane = np.zeros(SIZE, np.uint8)
    plane[two_blobs()], plane[:2] = 32 * 3, 32 * 7
    write(tmp_path / "instrument_dataset_1" / "images" / "frame000.jpg", frame())
    mask = tmp_path / "instrument_dataset_1" / "instruments_masks" / "frame000.png"
    write(mask, plane)
    picture = only(tmp_path)
    assert [i.label for i in picture.instances] == ["large_needle_driver"] * 2 + ["other"]
    assert picture.group == "instrument_dataset_1"
    plane[-1, :9] = 33
    write(mask, plane)
    with pytest.raises(BadInput, match=r"the value 33 \(9 px\)"):
        only(tmp_path)


def test_endovis_2018_knows_its_colours(tmp_path: Path) -> None:
    colours = dict(CLASSES)
    scene = np.zeros((*SIZE, 3), np.uint8)
    scene[two_blobs()] = colours["thread"]
    scene[:4] = colours["covered_kidney"]
    write(tmp_path / "seq_2" / "left_frames" / "frame000.png", frame())
    write(tmp_path / "seq_2" / "labels" / "frame000.png", scene)
    picture = only(tmp_path)
    assert (picture.name, picture.group) == ("seq_2/frame000", "seq_2")
    assert [i.label for i in picture.instances] == ["covered_kidney", "thread", "thread"]
    scene[-2:, :5] = (9, 9, 8)
    write(tmp_path / "seq_2" / "labels" / "frame000.png", scene)
    with pytest.raises(BadInput, match=r"\(9, 9, 8\) \(10 px\)"):
        only(tmp_path)


def test_cholecseg8k_reads_the_watershed_mask(tmp_path: Path) -> None:
    base = tmp_path / "video12" / "video12_15750"
    write(base / "frame_15800_endo.png", frame())
    plane = np.full(SIZE, 21, np.uint8)
    plane[:, :3], plane[0, 10], plane[20:30, 20:40] = 50, 255, 32
    write(base / "frame_15800_endo_watershed_mask.png", np.repeat(plane[..., None], 3, 2))
    picture = only(tmp_path)
    assert (picture.name, picture.group) == ("video12_15750/frame_15800", "video12")
    assert {i.label for i in picture.instances} == {"liver", "hook"}
    assert covered(picture, "hook").sum() == 200


def coco(folder: Path, name: str, rows: list[dict[str, object]], **image: object) -> None:
    write(folder / name, frame())
    data = {
        "images": [{"id": 5, "file_name": name, "width": 64, "height": 48, **image}],
        "annotations": [
            {"id": n, "image_id": 5, "category_id": 6, **r} for n, r in enumerate(rows)
        ],
        "categories": [{"id": 6, "name": "Tool"}, {"id": 7, "name": "cystic duct"}],
    }
    (folder / "annotation_coco.json").write_text(json.dumps(data))


def test_coco_polygons_run_lengths_crowds_and_boxes(tmp_path: Path) -> None:
    """As Endoscapes2023 names its pictures: video and frame."""
    code = coco_mask.encode(np.asfortranarray(two_blobs().astype(np.uint8)))
    plain = np.diff(np.flatnonzero(np.diff(two_blobs().T.ravel(), prepend=0, append=2)))
    first = int(np.argmax(two_blobs().T.ravel()))
    rows: list[dict[str, object]] = [
        {"segmentation": [[10.0, 10, 30, 10, 30, 20, 10, 20], [40, 5, 45, 5, 45, 9, 40, 9]]},
        {"segmentation": {"size": [48, 64], "counts": code["counts"].decode()}, "category_id": 7},
        {"segmentation": {"size": [48, 64], "counts": [first, *plain.tolist()]}, "iscrowd": 1},
        {"segmentation": [], "bbox": [1, 2, 10, 20]},
    ]
    (tmp_path / "val").mkdir()
    coco(tmp_path / "val", "121_23750.jpg", rows)
    dataset = open_dataset(tmp_path)
    assert dataset.splits == {"validation": 1}
    (picture,) = dataset.pictures
    assert (picture.name, picture.group) == ("validation/121_23750", "121")
    assert covered(picture, "tool").sum() == 20 * 10 + 5 * 4
    assert (covered(picture, "cystic_duct") == two_blobs()).all()
    assert picture.ignore is not None
    assert (picture.ignore.full() == two_blobs()).all()
    assert picture.boxes == (("tool", (1.0, 2.0, 11.0, 22.0)),)


@pytest.mark.parametrize(
    ("segmentation", "said"),
    [
        ({"size": [48, 60], "counts": "0"}, "its mask is 60 x 48 px"),
        ({"size": [48, 64], "counts": [3, 4]}, "do not fill the picture"),
        ({"size": [48, 64], "counts": "zz~"}, "damaged|do not fill"),
        ([[1, 2, 3]], "too few"),
        ([[1, 2, 3, 4, 5, 9e9]], "far outside"),
        ("text", "neither polygons"),
    ],
)
def test_damaged_coco_annotations_are_named(
    tmp_path: Path, segmentation: object, said: str
) -> None:
    coco(tmp_path, "a.png", [{"segmentation": segmentation}])
    with pytest.raises(BadInput, match=f"Annotation 0 of a.png cannot be read: .*({said})"):
        only(tmp_path)


@settings(max_examples=60)
@given(st.binary(max_size=40), st.integers(0, 2**30))
def test_run_lengths_as_coco_writes_them(damage: bytes, seed: int) -> None:
    plane = np.random.default_rng(seed).random((9, 7)) < 0.4
    code = coco_mask.encode(np.asfortranarray(plane.astype(np.uint8)))["counts"].decode()
    runs = runs_of(code)
    inside = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(7, 9).T
    assert (inside == plane).all()
    with suppress(ValueError):
        assert runs_of(damage.decode("latin-1")).dtype == np.int64


def test_yolo_in_both_arrangements(tmp_path: Path) -> None:
    (tmp_path / "data.yaml").write_text("path: .\nnames:\n  0: Grasper  # left\n  1: 'L-hook'\n")
    write(tmp_path / "images" / "train" / "p1-frame-3.jpg", frame())
    write(tmp_path / "images" / "val" / "p2-frame-3.jpg", frame())
    labels = tmp_path / "labels" / "train" / "p1-frame-3.txt"
    labels.parent.mkdir(parents=True)
    (tmp_path / "labels" / "val").mkdir()
    labels.write_text("1 0.25 0.25 0.5 0.25 0.5 0.75 0.25 0.75\n\n0 0.5 0.5 0.25 0.5\n")
    dataset = open_dataset(tmp_path)
    assert dataset.splits == {"train": 1, "validation": 1}
    first, empty = dataset.pictures
    assert [i.label for i in first.instances] == ["l_hook"]
    assert first.instances[0].mask.area_px == pytest.approx(16 * 24, rel=0.12)
    assert first.boxes == (("grasper", (24.0, 12.0, 40.0, 36.0)),)
    assert (first.group, empty.group, empty.instances) == ("p1", "p2", ())
    labels.write_text("1 0.25 0.25 0.5 0.25 0.5 0.75\n2 0 0 1 1 0 1\n")
    with pytest.raises(BadInput, match=r"p1-frame-3\.txt, line 2: the class 2 is not among the 2"):
        list(dataset.pictures)
    (tmp_path / "data.yaml").unlink()
    with pytest.raises(BadInput, match=r"has no data\.yaml"):
        open_dataset(tmp_path)


@pytest.mark.parametrize("text", ["names: [a, 'b c']", "nc: 2\nnames:\n- a\n- b c\nval: x"])
def test_names_of_a_data_yaml(tmp_path: Path, text: str) -> None:
    file = tmp_path / "data.yaml"
    file.write_text(text)
    assert read_names(file) == ("a", "b_c")
    for bad in ("nc: 3", "names: a", "names:\n  0: a\n  2: b"):
        file.write_text(bad)
        with pytest.raises(BadInput, match=r"data\.yaml"):
            read_names(file)


def test_endoarss_lowers_its_values_and_tells_the_activity(tmp_path: Path) -> None:
    plane = np.ones(SIZE, np.uint8)
    plane[two_blobs()] = 4
    for number in ("1", "10", "2"):
        write(tmp_path / "train" / number / "image" / "x.png", frame())
        write(tmp_path / "train" / number / "mask" / "x.png", plane)
    dataset = open_dataset(tmp_path)
    assert [p.activity for p in dataset.pictures] == ["1", "10", "2"]
    picture = dataset.pictures[0]
    assert [i.label for i in picture.instances] == ["class_3"]
    assert (covered(picture, "class_3") == two_blobs()).all()
    (tmp_path / "labels.json").write_text(json.dumps([{"name": "Gripper", "classid": 3}]))
    assert open_dataset(tmp_path).pictures[0].instances[0].label == "gripper"
    plane[0, :3] = 200
    write(tmp_path / "train" / "1" / "mask" / "x.png", plane)
    with pytest.raises(BadInput, match=r"the value 200 \(3 px\)"):
        dataset.pictures[0]


def test_labelme_is_read_by_split_and_a_wrong_picture_is_seen(tmp_path: Path) -> None:
    for split in ("train", "test"):
        write(tmp_path / split / "op1-frame-2.png", frame())
        shape = {"label": "Bone", "points": [[5, 5], [20, 5], [20, 20]], "group_id": None}
        data = {"shapes": [shape], "imagePath": "x\\op1-frame-2.png", "imageWidth": 64,
                "imageHeight": 48}  # fmt: skip
        (tmp_path / split / "op1-frame-2.json").write_text(json.dumps(data))
    dataset = open_dataset(tmp_path)
    assert dataset.splits == {"train": 1, "test": 1}
    assert [p.group for p in dataset.pictures] == ["op1", "op1"]
    assert [i.label for i in dataset.pictures[0].instances] == ["bone"]
    write(tmp_path / "test" / "op1-frame-2.png", frame(0, (50, 64)))
    with pytest.raises(BadInput, match=r"of a picture of 64 x 48 px, .* is 64 x 50"):
        dataset.pictures[1]


def test_real_polyps(shared_data: Path) -> None:
    """Real JPEG masks, resized and noisy: nothing but large parts comes of them."""
    dataset = open_dataset(shared_data / "kvasir_seg")
    assert dataset.splits == {"train": 800, "validation": 100}
    for picture in dataset.split("validation")[:4]:
        assert picture.rgb.shape == (352, 352, 3)
        assert {i.label for i in picture.instances} == {"polyp"}
        assert 1 <= len(picture.instances) <= 3
        assert 0.004 < covered(picture, "polyp").mean() < 0.82
