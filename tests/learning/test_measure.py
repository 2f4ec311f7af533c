"""A model over labelled pictures: one pass says what separate passes say; the command prints it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import models
from app.cli.main import run
from app.core.mask import Mask
from app.core.picture import LabelledPicture
from app.core.prediction import Instance
from app.inference.device import DeviceChoice
from app.inference.segmenter import Segmenter
from app.learning.corruptions import corrupt
from app.learning.evaluate import false_area, union_iou
from app.learning.measure import measure
from models.card import ModelCard, ModelClass

CPU = DeviceChoice(device="cpu", name="test", reason="test", memory_mb=1)


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    """A tiny LMSF-A with random weights that finds something everywhere."""
    torch.set_num_threads(1)
    torch.manual_seed(5)
    options = {"num_classes": 2, "width": 0.125, "depth": 0.1}
    network = models.create_model("lmsf_a", **options)
    with torch.no_grad():
        network.head.classify.weight.mul_(20)
        network.head.classify.bias.fill_(-1.5)
        for branch in network.head.coefficients:
            branch[-1].weight.mul_(20)
    card = ModelCard(
        name="tiny",
        title="Tiny",
        system="lmsf_a",
        options=options,
        task="instance-segmentation",
        classes=(ModelClass(key="bone", name="Bone"), ModelClass(key="nerve", name="Nerve")),
        input_size_px=(96, 64),
        thresholds={"score": 0.3, "overlap": 0.3, "max_instances": 6.0},
    )
    return models.save_model(network, card, tmp_path_factory.mktemp("models"))


def scene(seed: int) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 255, (6, 9, 3)).astype(np.uint8)
    return cv2.resize(small, (96, 64), interpolation=cv2.INTER_CUBIC)


def pictures() -> list[LabelledPicture]:
    plane, zone = np.zeros((64, 96), bool), np.zeros((64, 96), bool)
    plane[10:50, 20:70], zone[:, :12] = True, True
    bone = Instance(label="bone", mask=Mask.from_full(plane))
    fog = Instance(label="fog", mask=Mask.from_full(zone))
    ignore = Mask.from_full(zone)
    return [
        LabelledPicture(name="a", group="1", rgb=scene(1), instances=(bone, fog)),
        LabelledPicture(name="b", group="2", rgb=scene(2), instances=(bone,), ignore=ignore),
        LabelledPicture(name="c", group="3", rgb=scene(3)),
    ]


def test_one_pass_says_what_separate_passes_say(card: ModelCard) -> None:
    got = measure(card, pictures(), CPU)
    predict = Segmenter(card, CPU).predict
    assert got.union_ious == tuple(union_iou(predict(p.rgb), p) for p in pictures())
    false_areas = [false_area(predict(p.rgb), p) for p in pictures()]
    assert got.false_areas == tuple(a for a in false_areas if a is not None)
    assert got.left_out == {"fog": 1}
    united = [np.zeros((64, 96), bool) for _ in range(3)]
    true = [np.zeros((64, 96), bool) for _ in range(3)]
    for found, right, picture in zip(united, true, pictures(), strict=True):
        for instance in predict(picture.rgb):
            found |= instance.mask.full()
        for instance in picture.instances:
            right |= instance.mask.full() if instance.label == "bone" else False
        if picture.ignore is not None:
            found &= ~picture.ignore.full()
            right &= ~picture.ignore.full()
    mae = np.mean([np.mean(a != b) for a, b in zip(united, true, strict=True)])
    assert united[0].any()
    assert got.maps.mae == pytest.approx(mae)
    dice = [2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in zip(united, true, strict=True)]
    assert got.maps.mdice == pytest.approx(np.mean(dice))
    said = got.as_json()
    assert said["instances"] == 2
    assert "COCO" in said["convention"]
    assert "Margolin" in said["foreground"]["convention"]


def test_a_change_is_what_the_model_sees(card: ModelCard) -> None:
    seen: list[int] = []

    def change(rgb: np.ndarray, seed: int) -> np.ndarray:
        seen.append(seed)
        return corrupt("contrast", 5, rgb, seed)

    worse = measure(card, pictures(), CPU, change=change)
    changed = [
        LabelledPicture(
            name=p.name,
            group=p.group,
            rgb=corrupt("contrast", 5, p.rgb, n),
            instances=p.instances,
            ignore=p.ignore,
        )
        for n, p in enumerate(pictures())
    ]
    assert seen == [0, 1, 2]
    same = measure(card, changed, CPU)
    # Sums of floats need not be the same to the last bit.
    assert asdict(worse.maps) == pytest.approx(asdict(same.maps), rel=1e-6, nan_ok=True)


def test_the_command_measures_a_folder_by_split(
    card: ModelCard, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = [{"name": n, "classid": k} for k, n in enumerate(("background", "bone", "nerve"))]
    (tmp_path / "labels.json").write_text(json.dumps(table))
    for split in ("train", "val"):
        for kind, plane in (("images", scene(4)), ("masks", np.zeros((64, 96), np.uint8))):
            (tmp_path / split / kind).mkdir(parents=True)
            if kind == "masks":
                plane[20:40, 30:60] = 1 if split == "val" else 2
            cv2.imwrite(str(tmp_path / split / kind / "x-frame-1.png"), plane)
    arguments = ["evaluate", "--model", str(card.folder), "--data", str(tmp_path)]
    status = run(
        [*arguments, "--corruption", "jpeg", "--corruption", "fog", "--severity", "2", "--json"]
    )
    said = capsys.readouterr()
    assert (status, said.err) == (0, "")
    result = json.loads(said.out)
    assert (result["split"], result["images"], result["instances"]) == ("validation", 1, 1)
    assert result["per_class"]["nerve"]["instances"] == 0
    assert set(result["corruptions"]) == {"jpeg", "fog"}
    assert set(result["corruptions"]["jpeg"]["2"]) == {
        "map50", "map50_95", "dice", "iou", "foreground_mdice",
    }  # fmt: skip
    assert run([*arguments, "--split", "train", "--worst", str(tmp_path / "worst")]) == 0
    assert [f.name for f in (tmp_path / "worst").iterdir()] == ["01-train_x-frame-1.jpg"]
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("foreground mdice: ") for line in lines)
    assert any(line.startswith("box_map50: ") for line in lines)
    assert sum("convention: " in line for line in lines) == 2
    assert any(line.startswith("worst 01-train_x-frame-1.jpg, train/x-frame-1, ") for line in lines)
    for more, said_ in (
        (["--corruption", "haze"], "no corruption haze; there are gaussian_noise"),
        (["--split", "dev"], "no split dev; give train, validation, test, all"),
        (["--group", "op9"], "No labelled picture was found"),
    ):
        assert run([*arguments, *more]) == 1
        err = capsys.readouterr().err
        assert said_ in err
        assert err.count("\n") == 1
