"""A model that finds pictures: preprocessing, its pass, import in a child, moments by words."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import models
from app.cli.main import run
from app.core.prediction import RETRIEVAL
from app.inference.analysis import AnalysisJob
from app.inference.cards import find_model
from app.inference.device import choose_device
from app.inference.embedding import PictureEncoder, middle_of
from app.inference.prompts import prompts_of
from app.video import describe_asset, open_video
from models.card import ModelCard
from models.prompts import PROMPTS_FILE, write_prompts
from models.surgvlp import IMAGE_MEAN_RGB, IMAGE_STD_RGB, SurgVlp
from tests.helpers.clips import RECIPES, make_clip
from tests.helpers.seen_cases import directions, see, seen_case
from tests.store.conftest import open_small

CPU = choose_device("cpu")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 frames at 25 per second: three seconds are looked at."""
    return make_clip(tmp_path_factory.mktemp("embedding") / "clip.mp4", RECIPES["h264-mp4"])


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    torch.manual_seed(2)
    made = ModelCard(
        name="eye",
        title="Eye",
        system="surgvlp",
        options={"embedding": 24},
        task=RETRIEVAL,
        classes=(),
        input_size_px=(64, 64),
        mean_rgb=IMAGE_MEAN_RGB,
        std_rgb=IMAGE_STD_RGB,
        frames_per_second=1.0,
    )
    return models.save_model(SurgVlp(embedding=24), made, tmp_path_factory.mktemp("models"))


def test_the_middle_of_a_gradient() -> None:
    """A column's value is its place: what comes out lies where the crop says."""
    ramp = np.linspace(0, 255, 640).round().astype(np.uint8)
    rgb = np.ascontiguousarray(np.broadcast_to(ramp[None, :, None], (360, 640, 3)))
    out = middle_of(rgb, (224, 224))
    assert out.shape == (224, 224, 3)
    assert np.array_equal(out[0, :, 0], ramp[208:432])
    down = np.linspace(0, 255, 360).round().astype(np.uint8)
    tall = np.ascontiguousarray(np.broadcast_to(down[:, None, None], (360, 640, 3)))
    assert np.array_equal(middle_of(tall, (224, 224))[:, 0, 0], down[68:292])
    # Another raster is squeezed first, with Pillow's filter as the released code does.
    large = np.random.default_rng(0).integers(0, 256, (90, 200, 3), np.uint8)
    small = Image.fromarray(large).resize((640, 360), Image.Resampling.BILINEAR)
    assert np.array_equal(middle_of(large, (224, 224)), np.array(small)[68:292, 208:432])


def test_a_pass_keeps_a_vector_a_second_and_goes_on(
    own_library: Path, clip: Path, card: ModelCard
) -> None:
    with open_small(own_library) as library:
        asset = describe_asset(clip, "one")
        case = library.writer.create_case("One", "unknown", (asset,)).result()
        store = library.predictions(case.case_id)
        asked: list[int] = []

        def after_two() -> bool:
            asked.append(1)
            return len(asked) > 4

        AnalysisJob(library, case, [card], device=CPU, threads=1).run(should_cancel=after_two)
        result = AnalysisJob(library, case, [card], device=CPU, threads=1).run()
        (run_,) = store.runs()
        pts, vectors = store.features(run_.run_id)
        assert run_.finished
        assert (run_.task, run_.frames_expected) == (RETRIEVAL, 3)
        (said,) = result.models
        assert said.computed + said.resumed == said.frames == 3
        encoder = PictureEncoder(card, CPU)
        with open_video(clip) as source:
            for at, vector in zip((0, 25, 50), vectors, strict=True):
                assert np.allclose(encoder.embed(source.frame(at).rgb), vector, atol=2e-3)
            assert pts.tolist() == [source.pts(i) for i in (0, 25, 50)]
        again = AnalysisJob(library, case, [card], device=CPU, threads=1).run()
        assert (again.models[0].computed, again.models[0].resumed) == (0, 3)
        assert len(store.runs()) == 1


def test_found_by_words(
    own_library: Path, tmp_path: Path, card: ModelCard, capsys: pytest.CaptureFixture[str]
) -> None:
    """A prompt lies on a recording's third second; prompts go where their model goes."""
    vectors = directions(30, channels=24)
    prompts = {
        "the third second": vectors[2].astype(np.float32),
        "something else": -vectors[2].astype(np.float32),
    }
    source = tmp_path / card.name
    shutil.copytree(card.folder or Path(), source)
    write_prompts(prompts, source)
    installed = models.install_model(source, own_library / "models").folder
    assert installed is not None
    with open_small(own_library) as library:
        case = seen_case(library, "one", vectors[::-1], weights="d" * 64)
        see(library, case, vectors, weights=card.weights_sha256, task=RETRIEVAL)
    assert prompts_of("eye", card.weights_sha256, own_library).keys() == prompts.keys()
    assert prompts_of("eye", "0" * 64, own_library) == {}
    assert prompts_of("ear", card.weights_sha256, own_library) == {}
    assert run(["find", "--text", "Third", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["model"], found["prompt"]) == ("eye", "the third second")
    assert found["weights_sha256"] == card.weights_sha256
    assert found["moments"][0]["seconds"] == 2.0
    assert found["moments"][0]["similarity"] > 0.99
    for words, said in (("lunch", "no prompt has"), ("e", "several prompts have")):
        assert run(["find", "--text", words]) == 1
        assert said in capsys.readouterr().err
    assert run(["find", "--text", "third", "--like", "0001@0"]) == 2
    (installed / PROMPTS_FILE).write_bytes(b"damaged")
    assert run(["find", "--text", "third"]) == 1
    assert "cannot be read as prompts" in capsys.readouterr().err


def test_no_model_reads_words(own_library: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_small(own_library):
        pass
    assert run(["find", "--text", "clip"]) == 1
    assert "--prompts" in capsys.readouterr().err


@pytest.mark.long
def test_import_of_a_released_file(
    own_library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a child process; prompts come along, and go with the model when it is exported."""
    torch.manual_seed(5)
    tower = SurgVlp(embedding=16).state_dict()
    file, prompts = tmp_path / "PeskaVLP.pth", tmp_path / "prompts.npz"
    text = {"backbone_text.model.pooler.dense.bias": torch.zeros(3)}
    torch.save({f"backbone_img.{k}": v for k, v in tower.items()} | text, file)
    np.savez(prompts, **{"a clip": np.ones(16, np.float32)})
    assert run(["models", "import", str(file), "--prompts", str(prompts)]) == 0
    said = capsys.readouterr().out
    assert "by 1 prompts" in said
    assert "text tower is not supported" in said
    card = find_model("peskavlp", own_library)
    assert (card.task, card.options, card.system) == (RETRIEVAL, {"embedding": 16}, "surgvlp")
    out = tmp_path / "out"
    assert run(["models", "export", "peskavlp", "--out", str(out)]) == 0
    assert sorted(p.name for p in (out / "peskavlp").iterdir()) == [
        "card.toml", "prompts.safetensors", "weights.safetensors",
    ]  # fmt: skip
