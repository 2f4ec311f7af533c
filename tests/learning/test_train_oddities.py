"""`trocar train` on what is odd: a batch of one, one picture, noise, strange colours, no number."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import models
from app.cli.main import run
from models.checkpoint import read_tensors

RECIPE = """
name = "odd"
title = "Odd"
system = "lmsf_a"
task = "instance-segmentation"
classes = ["bone"]
procedures = []
input_size_px = [64, 64]
batch = 2
[options]
num_classes = 1
width = 0.125
depth = 0.1
[train]
steps = 2
warmup_steps = 1
report_every = 1
average_tau = 1
precision = "fp32"
[data]
phantom_share = 0.0
workers = 0
[card]
demo = false
"""


def pictures(root: Path, count: int, suffix: str = ".png", colour: int = 255) -> Path:
    """Pictures with a rectangle each, the mask white on black."""
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    for n in range(count):
        rng = np.random.default_rng(n)
        mask = np.zeros((60, 90), np.uint8)
        mask[10:40, 10 + n : 50 + n] = colour
        picture = rng.integers(0, 90, (60, 90, 3)).astype(np.uint8)
        picture[mask > 0] += 120
        cv2.imwrite(str(root / "images" / f"op{n}-frame-{n}.png"), picture)
        cv2.imwrite(str(root / "masks" / f"op{n}-frame-{n}{suffix}"), mask)
    return root


Edits = dict[str, str]


class Trained:
    """What a training said and left behind; edits replace lines of the recipe."""

    def __init__(
        self, capsys: pytest.CaptureFixture[str], data: Path, edits: Edits | None = None, *more: str
    ) -> None:
        text = RECIPE
        for line, instead in (edits or {}).items():
            assert f"{line}\n" in text
            text = text.replace(f"{line}\n", f"{instead}\n")
        recipe, self.out = data.parent / "odd.toml", data.parent / "run"
        recipe.write_text(text)
        command = ["train", str(recipe), "--data", str(data), "--out", str(self.out), *more]
        self.status = run([*command, "--device", "cpu", "--json"])
        said = capsys.readouterr()
        self.err = said.err
        self.said = json.loads(said.out) if self.status == 0 else {}

    @property
    def sentence(self) -> str:
        """The one sentence of a training that was refused."""
        assert self.status == 1, self.err
        (line,) = (x for x in self.err.splitlines() if not x.startswith("Note: "))
        return line


ONE = {"batch = 2": "batch = 1"}
GROUPS = {"width = 0.125": 'width = 0.125\nnorm = "gn"'}
FROZEN = {"steps = 2": "steps = 2\nfreeze_norms = true"}


@pytest.mark.parametrize("norms", [{}, GROUPS, FROZEN], ids=["batch", "group", "frozen"])
def test_batches_of_one(tmp_path: Path, capsys: pytest.CaptureFixture[str], norms: Edits) -> None:
    done = Trained(capsys, pictures(tmp_path / "d", 2), ONE | norms)
    assert done.status == 0, done.err
    network = models.load_model(models.read_card(Path(done.said["card"])))
    kept = [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert bool(kept) == (norms is not GROUPS)
    assert any(m.running_mean.abs().max() > 0 for m in kept) == (norms == {})


def test_a_batch_of_one_cell_is_refused_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = pictures(tmp_path / "d", 1)
    small = ONE | {"input_size_px = [64, 64]": "input_size_px = [32, 32]"}
    said = Trained(capsys, data, small).sentence
    assert "take batches of two or larger pictures, or set train.freeze_norms" in said


AUGMENT = """
[data.augment]
mosaic = 0.7
mosaic_off_passes = 1
flip_vertical = true
scale = [0.5, 1.5]
[data.loss]
edge = 1.0
gradient = 0.5
"""


def test_a_single_picture_with_every_augmentation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = pictures(tmp_path / "d", 1)
    done = Trained(capsys, data, {"workers = 0": f"workers = 0\n{AUGMENT}"})
    assert done.status == 0, done.err
    assert "Note: There is a single picture" in done.err


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("augment = { mosaik = 1.0 }", "data.augment cannot be used; it takes rotate_deg"),
        ("augment = { mosaic = 7 }", "data.augment has a value out of range"),
        ("loss = { borders = 1.0 }", "data.loss takes a table of box, classify"),
        ("loss = { edge = -1.0 }", "weights of at least 0"),
    ],
)
def test_settings_that_cannot_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], table: str, sentence: str
) -> None:
    data = pictures(tmp_path / "d", 1)
    done = Trained(capsys, data, {"workers = 0": f"workers = 0\n{table}"})
    assert sentence in done.sentence


@pytest.mark.parametrize("save_every", [1, 500])
def test_weights_that_run_away_leave_the_last_good_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], save_every: int
) -> None:
    wild = {"steps = 2": f"steps = 9\nsave_every = {save_every}\nlearning_rate = 1e30"}
    done = Trained(capsys, pictures(tmp_path / "d", 2), wild)
    assert "diverged" in done.sentence
    assert not (done.out / "odd").exists()
    last = done.out / "last.safetensors"
    assert last.exists() == ("checkpoint is kept" in done.err) == (save_every == 1)
    if last.exists():
        tensors, about = read_tensors(last)
        assert all(torch.isfinite(t).all() for t in tensors.values() if t.is_floating_point())
        assert 1 <= json.loads(about["run"])["step"] < 9


TWO = {'classes = ["bone"]': 'classes = ["bone", "nerve"]', "num_classes = 1": "num_classes = 2"}


def test_noisy_masks_empty_pictures_and_a_class_that_no_picture_shows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = pictures(tmp_path / "d", 4, ".jpg")
    cv2.imwrite(str(data / "masks" / "op1-frame-1.jpg"), np.zeros((60, 90), np.uint8))
    noisy = cv2.imread(str(data / "masks" / "op2-frame-2.jpg"), cv2.IMREAD_GRAYSCALE)
    assert len(np.unique(noisy)) > 2
    rows = [{"name": "background", "classid": 0}, {"name": "bone", "classid": 255}]
    (data / "labels.json").write_text(json.dumps(rows))
    done = Trained(capsys, data, TWO, "--hold-out", "0.3")
    assert done.status == 0, done.err
    assert "Note: No picture shows nerve, so the network cannot learn it." in done.err
    assert done.said["best"].keys() >= {"map50", "mdice"}
    assert all(np.isfinite(v) for v in done.said["best"].values())


def test_strange_values_and_colours_are_listed_with_their_pixels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = pictures(tmp_path / "d", 2)
    bone = {"name": "bone", "classid": 255, "color": [255, 0, 0]}
    (data / "labels.json").write_text(json.dumps([{"name": "background", "classid": 0}, bone]))
    path = data / "masks" / "op1-frame-1.png"
    mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    mask[:2, :3], mask[50, :4] = 77, 9
    cv2.imwrite(str(path), mask)
    sentence = Trained(capsys, data).sentence
    assert "op1-frame-1.png" in sentence
    assert "77 (6" in sentence
    assert "9 (4" in sentence
    coloured = np.zeros((60, 90, 3), np.uint8)
    coloured[10:40, 10:50], coloured[:5, :5] = (0, 0, 255), (10, 200, 30)
    cv2.imwrite(str(path), coloured)
    assert "(30, 200, 10) (25" in Trained(capsys, data).sentence
