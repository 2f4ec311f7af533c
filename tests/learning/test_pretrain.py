"""An archive without labels becomes a backbone: footage, clips, the command, what it refuses."""

from __future__ import annotations

import csv
import json
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import models
from app.cli.main import run
from app.core.errors import BadInput, EnvironmentProblem
from app.exchange.unlabelled import pictures_below
from app.inference.cards import find_model
from app.inference.foreign_cards import videomamba_card
from app.learning.pretraining import (
    SCALES,
    Clips,
    PretrainingValidation,
    cut,
    start_from_backbone,
)
from app.learning.pretraining_footage import Archive, ClipReader, Footage, find_footage
from app.learning.publish import publish_backbone
from app.learning.recipes import read_recipe
from app.learning.run_view import read_run
from app.learning.start import start_from
from models.endomamba import PretrainingEndoMamba
from models.videomamba import VideoMamba
from models.videomamba.convert import convert
from tests.benchmarks import pretraining_probe
from tests.helpers.clips import RECIPES, damaged_clip, make_clip, number_of, picture

TINY = """
name = "tiny-backbone"
title = "Tiny backbone"
system = "endomamba"
task = "backbone"
classes = []
procedures = []
input_size_px = [32, 32]
batch = 2
[options]
head = "pretraining"
width = 16
depth = 2
image_size = 32
patch_size = 8
[train]
steps = 4
warmup_steps = 1
report_every = 1
save_every = 2
average_decay = 0.0
precision = "fp32"
[data]
frames = 2
stride = 3
workers = 0
[card]
demo = false
limits = "A test."
mean_rgb = [0.485, 0.456, 0.406]
std_rgb = [0.229, 0.224, 0.225]
"""


def put(path: Path, number: int, size: tuple[int, int] = (320, 180)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rgb = cv2.resize(picture(number), size)
    path.write_bytes(cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1].tobytes())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings, one that is none, extracted frames of one operation, two stills."""
    root = tmp_path_factory.mktemp("archive")
    make_clip(root / "hysterectomy.mp4", RECIPES["h264-mp4"])
    (root / "more").mkdir()
    make_clip(root / "more" / "one frame.mp4", RECIPES["h264-one-frame"])
    (root / "more" / "broken.mp4").write_bytes(b"no video" * 99)
    for number in range(5):
        put(root / "frames" / f"case7_{number + 1}.png", 100 + number)
    put(root / "stills" / "a-frame-0.png", 1)
    put(root / "stills" / "a-frame-9000.png", 2)
    return root


@pytest.fixture(scope="module")
def archive(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    seen: list[tuple[int, int]] = []
    found, problems = find_footage(
        folder,
        pictures_below(folder).entries,
        tmp_path_factory.mktemp("kept"),
        lambda *told: seen.append(told),
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert len(problems) == 1
    assert "broken.mp4" in problems[0]
    return found


def reader(archive: Archive, **options: int) -> ClipReader:
    return ClipReader(archive, **{"frames": 3, "stride": 4, "least_px": 500, "seed": 5, **options})


def test_recordings_films_and_stills_are_told_apart(archive: Archive) -> None:
    found = {f.name: (f.group, f.frames, f.video is not None) for f in archive}
    assert found == {
        "hysterectomy.mp4": ("hysterectomy.mp4", 60, True),
        "more/one frame.mp4": ("more/one frame.mp4", 1, True),
        "frames/case7_1.png": ("frames/case7", 5, False),
        "stills/a-frame-0.png": ("stills/a", 1, False),
        "stills/a-frame-9000.png": ("stills/a", 1, False),
    }


def test_operations_are_held_out_whole(archive: Archive) -> None:
    learn, measure = archive.split(0.05, 3)
    assert measure
    assert not {f.group for f in learn} & {f.group for f in measure}
    assert len(learn) + len(measure) == len(archive)
    assert len(archive.split(0.0, 3)[1]) == 0
    alone = Archive([archive[0]])
    assert [len(part) for part in alone.split(0.5, 0)] == [1, 0]


def test_a_clip_is_exact_frames_some_apart(archive: Archive) -> None:
    clips = reader(Archive([archive[0]]))
    starts = set()
    for number in range(25):
        clip = clips.clip(number)
        first, second, third = map(number_of, clip)
        assert (second - first, third - second) == (4, 4)
        starts.add(first)
    assert starts == {0, 6, 12, 18, 24, 30, 36, 42, 48}
    again = pickle.loads(pickle.dumps(reader(Archive([archive[0]]))))
    assert np.array_equal(again.clip(7), clips.clip(7))
    clips.close()
    assert np.array_equal(clips.clip(7), again.clip(7))  # kept, or opened again
    again.close()
    clips.close()


def test_pictures_go_on_or_stand_still(archive: Archive) -> None:
    film = next(f for f in archive if f.frames == 5)
    assert [number_of(p) for p in reader(Archive([film])).clip(0)] == [100, 101, 102]
    still = next(f for f in archive if f.name == "stills/a-frame-9000.png")
    assert [number_of(p) for p in reader(Archive([still])).clip(0)] == [2, 2, 2]
    one = reader(Archive([f for f in archive if f.name == "more/one frame.mp4"]))
    assert [number_of(p) for p in one.clip(0)] == [0, 0, 0]
    one.close()


def test_damaged_frames_are_as_the_ones_before_and_damaged_clips_passed_over(
    tmp_path: Path,
) -> None:
    damaged_clip(tmp_path / "a.avi", [4, 12, 16, 20])
    found, _ = find_footage(tmp_path, (), tmp_path / "kept")
    clips = reader(found, frames=3, stride=4)
    seen = {tuple(map(number_of, clips.clip(n))) for n in range(40)}
    clips.close()
    assert (0, 0, 8) in seen
    assert (6, 10, 14) in seen
    assert not any(first == 12 for first, *_ in seen)
    lost = Footage(name="gone.mp4", group="gone", frames=9, video=tmp_path / "gone.mp4")
    with pytest.raises(BadInput, match="cannot be read any more"):
        reader(Archive([lost])).clip(0)


def test_clips_are_cut_square_at_four_scales_the_same_in_every_frame(archive: Archive) -> None:
    grid = np.zeros((2, 200, 320, 3), np.uint8)
    grid[:, :, :, 0] = np.arange(200)[:, None]
    sides = set()
    for number in range(60):
        part = cut(grid, (40, 40), np.random.default_rng(number))
        assert part.shape == (2, 40, 40, 3)
        assert np.array_equal(part[0], part[1])
        sides.add(round((int(part[0, -1, 0, 0]) - int(part[0, 0, 0, 0])) * 40 / 39 / 200, 2))
    assert len(sides) <= 8
    assert all(min(abs(side - scale) for scale in SCALES) < 0.04 for side in sides)


def test_a_folder_without_anything_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no video and no picture"):
        find_footage(tmp_path, (), tmp_path / "kept")
    (tmp_path / "a.mp4").write_bytes(b"no video" * 99)
    with pytest.raises(BadInput, match=r"no picture to use\. .*a\.mp4"):
        find_footage(tmp_path, (), tmp_path / "kept")
    with pytest.raises(EnvironmentProblem, match="cannot be written"):
        find_footage(tmp_path, (), tmp_path / "a.mp4" / "kept")


def test_what_is_explained_is_measured_on_the_same_clips_each_time(
    archive: Archive, tmp_path: Path
) -> None:
    (tmp_path / "tiny.toml").write_text(TINY)
    recipe = read_recipe(str(tmp_path / "tiny.toml"))
    torch.manual_seed(0)
    network = PretrainingEndoMamba(**{k: v for k, v in recipe.options.items() if k != "head"})
    measure = PretrainingValidation(recipe, archive[:1])
    network.eval()
    first = measure(network)
    assert first == measure(network)
    with torch.no_grad():
        network.decoder.head.weight.zero_()
    assert measure(network)["explained"] == pytest.approx(0, abs=1e-6)
    truth, seen = list(measure.samples(None)), list(measure.samples(network))
    assert {p.shape for p in (*truth, *seen)} == {(320, 320, 3)}
    # what is not hidden is shown as it is
    same = [(a == b).all(-1).mean() for a, b in zip(truth, seen, strict=True)]
    assert min(same) >= 0.24
    assert max(same) < 0.9
    clip = Clips(recipe, archive[:1], 0)
    assert clip(3).shape == (2, 32, 32, 3)
    clip.reader.close()


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, object]:
    status = run([*map(str, arguments), "--json"])
    told = capsys.readouterr()
    assert status == 0, told.err
    return dict(json.loads(told.out))


def test_an_archive_teaches_a_backbone_that_phases_are_taught_on(
    folder: Path, tmp_path: Path, own_library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    teacher = VideoMamba(width=16, depth=2, frames=2, image_size=32, patch_size=8).state_dict()
    options, network, report = convert({"model": {**teacher, "head.weight": torch.zeros(4, 16)}})
    card = videomamba_card("vm-s", options, report)
    models.save_model(network, card, own_library / "models")
    (tmp_path / "tiny.toml").write_text(TINY)
    common = ("pretrain", tmp_path / "tiny.toml", "--data", folder, "--teacher", "vm-s")
    made = said(capsys, *common, "--hold-out", "0.1", "--out", tmp_path / "run")
    assert (made["epochs"], made["recordings"], made["pictures"], made["left_out"]) == (4, 2, 7, 1)
    assert set(made["best"]) == {"explained", "reconstruction"}
    rows = (tmp_path / "run" / "log.csv").read_text().splitlines()
    assert "loss_alignment" in rows[0]
    assert (tmp_path / "run" / "samples" / "truth-0.jpg").is_file()
    view = read_run(tmp_path / "run")
    assert (view.title, view.state, view.score) == ("Tiny backbone", "done", "")
    assert len(view.columns["held_out_explained"]) == 2
    card = find_model(str(tmp_path / "run" / "tiny-backbone"), own_library)
    assert card.task == "backbone"
    assert "--teacher vm-s" in card.trained.command
    kept = models.load_model(card)
    card = publish_backbone(tmp_path / "run", card, tmp_path / "drop", keep_positions=False)
    other = models.load_model(card)
    same = {k: torch.equal(v, other.state_dict()[k]) for k, v in kept.state_dict().items()}
    assert [k for k, v in same.items() if not v] == ["pos_embed"]
    plan, network = start_from(card, read_recipe("endomamba-demo"))
    assert plan.options["num_classes"] == 7
    for name, value in other.state_dict().items():
        if not name.startswith("head."):
            assert torch.equal(network.state_dict()[name], value)
    plan, network = start_from_backbone(card, read_recipe("endomamba-pretrain-cpu"))
    assert (plan.options["width"], plan.input_size_px) == (16, (32, 32))
    for name, value in network.encoder.state_dict().items():
        whole = other.state_dict()[name]
        assert torch.equal(value, whole[:, 1:] if name == "pos_embed" else whole)


@pytest.mark.long
def test_a_released_teacher_is_imported(
    tmp_path: Path, own_library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    teacher = VideoMamba(width=16, depth=2, frames=2, image_size=32, patch_size=8).state_dict()
    torch.save({**teacher, "head.weight": torch.zeros(4, 16)}, tmp_path / "vm-s.pth")
    imported = said(capsys, "models", "import", tmp_path / "vm-s.pth")
    assert (imported["name"], imported["task"]) == ("vm-s", "backbone")
    assert imported["conversion"]["unexpected"] == ["head.weight"]
    assert find_model("vm-s", own_library).options["frames"] == 2


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_what_was_learnt_without_labels_tells_instruments_apart(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Real clips and stills; a linear probe on three other operations (the module's docstring)."""
    for name in ("cholec_clips", "lap_frames_mit"):
        (tmp_path / "archive" / name).mkdir(parents=True)
        for file in [*shared_data.glob(f"{name}/*.mp4"), *shared_data.glob(f"{name}/*.jpg")]:
            (tmp_path / "archive" / name / file.name).symlink_to(file)
    recipe = Path(pretraining_probe.__file__).with_suffix(".toml")
    common = ("pretrain", recipe, "--data", tmp_path / "archive", "--hold-out", "0.1")
    made = said(capsys, *common, "--seed", "0", "--device", "cpu", "--out", tmp_path / "run")
    with (tmp_path / "run" / "log.csv").open() as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert np.mean(losses[-3:]) < 0.9 * losses[0]
    labelled = shared_data / "cholect50"
    operations = [pretraining_probe.read_operation(labelled, f"VID{n}", 64) for n in (68, 70, 74)]

    def instruments(network: torch.nn.Module) -> float:
        features = [pretraining_probe.features_of(network.eval(), o) for o in operations]
        return pretraining_probe.probed(features, operations)[0]

    card = models.read_card(Path(str(made["card"])))
    fresh = []
    for seed in range(3):
        torch.manual_seed(seed)
        fresh.append(instruments(models.create_model("endomamba", **card.options)))
    assert instruments(models.load_model(card)) > max(fresh)


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert run([*map(str, arguments)]) == 1
    return [x for x in capsys.readouterr().err.splitlines() if "%" not in x][-1]


def test_what_does_not_fit_is_refused_in_a_sentence(
    folder: Path, tmp_path: Path, own_library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(TINY)
    out = ("--out", tmp_path / "run")
    assert "trocar pretrain" in refused(capsys, "train", recipe, *out)
    told = refused(capsys, "pretrain", "endomamba-demo", "--data", folder, *out)
    assert "learns from labels" in told
    nowhere = refused(capsys, "pretrain", recipe, "--data", tmp_path / "none", *out)
    assert "There is no folder none" in nowhere
    stills = ("pretrain", recipe, "--data", folder / "stills", *out)
    told = refused(capsys, *stills, "--teacher", "endomamba-demo")
    assert "must be a VideoMamba" in told
    teacher = VideoMamba(width=16, depth=2, frames=8, image_size=32, patch_size=8)
    card = models.ModelCard(
        name="long", title="Long", system="videomamba", task="backbone", classes=(),
        options={"width": 16, "depth": 2, "frames": 8, "image_size": 32, "patch_size": 8},
    )  # fmt: skip
    models.save_model(teacher, card, own_library / "models")
    told = refused(capsys, *stills[:-1], tmp_path / "other", "--teacher", "long")
    assert "has 8 frames, the recipe tiny-backbone 2" in told
    recipe.write_text(TINY.replace("stride = 3", "stride = 0"))
    assert "lacks data.stride" in refused(capsys, *stills[:-1], tmp_path / "third")
