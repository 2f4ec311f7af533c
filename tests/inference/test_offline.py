"""Networks of frame features: the whole recording at once, once, and never a live picture."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import models
from app.analysis.moments import MomentIndex
from app.core.case import Case
from app.core.errors import BadInput
from app.inference import AnalysisJob, LiveAnalysis, PhaseStream, find_model
from app.inference.cards import default_models, model_cards, with_encoders, with_readers
from app.inference.device import DeviceChoice
from app.inference.foreign import import_released
from app.inference.foreign_cards import dinov2_card
from app.inference.preprocess import resized
from app.inference.trial import trial_ms
from app.store import Library
from app.video import describe_asset, open_video
from models.card import ModelCard
from models.dinov2 import DinoV2
from models.foreign import ConversionReport
from tests.helpers.clips import RECIPES, make_clip
from tests.inference.conftest import save_phases, save_reader

CPU = DeviceChoice(device="cpu", name="test", reason="test", memory_mb=1)
SECONDS = 4


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds at 10 frames per second."""
    recipe = replace(RECIPES["h264-mp4"], frames=10 * SECONDS, rate=10)
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", recipe)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    root = tmp_path / "library" / "models"
    save_phases(root)
    save_reader(root, "sprmamba", layers=1, width=16)
    with Library.open(tmp_path / "library", ballast_bytes=0) as opened:
        yield opened


@pytest.fixture
def case(library: Library, clip: Path) -> Case:
    asset = describe_asset(clip, uuid.uuid4().hex)
    return library.writer.create_case("Recording", "unknown", (asset,)).result()


def analyse(library: Library, case: Case, *names: str) -> dict[str, tuple[int, int, int]]:
    """Frames, computed and resumed, of every model that ran."""
    cards = [find_model(name, library.folder) for name in names]
    result = AnalysisJob(library, case, cards, device=CPU, threads=1).run()
    assert not result.cancelled
    return {m.name: (m.frames, m.computed, m.resumed) for m in result.models}


def test_the_encoder_runs_first_and_nothing_runs_twice(library: Library, case: Case) -> None:
    assert analyse(library, case, "sprmamba") == {
        "phases": (SECONDS, SECONDS, 0),
        "sprmamba": (SECONDS, SECONDS, 0),
    }
    assert analyse(library, case, "sprmamba", "phases") == {
        "phases": (SECONDS, 0, SECONDS),
        "sprmamba": (SECONDS, 0, SECONDS),
    }
    store = library.predictions(case.case_id)
    causal, offline = store.runs()
    assert (causal.model, offline.model) == ("phases", "sprmamba")
    assert offline.finished
    assert (offline.settings["features_of"], offline.sample_every) == ("phases", 0)
    assert offline.settings["features_sha256"] == causal.weights_sha256
    assert store.verify() == (2 * SECONDS, [])

    pts, features = store.features(causal.run_id)
    assert (features.shape, features.dtype) == ((SECONDS, 32), np.float16)
    network = models.load_model(find_model("sprmamba", library.folder))
    with torch.inference_mode():
        logits = network(torch.from_numpy(features.astype(np.float32)).T[None])[-1, 0]
    found = store.phases(offline.run_id)
    assert [p.pts for p in found] == pts.tolist() == [p.pts for p in store.phases(causal.run_id)]
    expected = logits.T.softmax(-1).numpy()
    assert np.array([p.probabilities for p in found]) == pytest.approx(expected, abs=1e-6)


def test_features_are_those_of_the_network(library: Library, case: Case) -> None:
    analyse(library, case, "phases")
    store = library.predictions(case.case_id)
    _, features = store.features(store.runs()[0].run_id)
    stream = PhaseStream(find_model("phases", library.folder), CPU)
    with open_video(case.assets[0].files[0].path) as source:
        for second in range(SECONDS):
            stream.step(source.frame_at(second).rgb)
            assert stream.features is not None
            assert features[second] == pytest.approx(stream.features, abs=2e-3)


def test_a_run_without_features_is_looked_at_again(library: Library, case: Case) -> None:
    """Runs of before features were kept: phases stay as they are, features are added."""
    analyse(library, case, "phases")
    store = library.predictions(case.case_id)
    before = store.phases(1)
    with store._transaction() as conn:
        conn.execute("DELETE FROM features WHERE pts > 0")
    assert analyse(library, case, "phases") == {"phases": (SECONDS, 0, SECONDS)}
    again = analyse(library, case, "sprmamba")
    assert again["sprmamba"] == (SECONDS, SECONDS, 0)
    assert again["phases"] == (SECONDS, SECONDS - 1, 1)
    assert [r.model for r in store.runs()] == ["phases", "sprmamba"]
    assert [p.probabilities for p in store.phases(1)] == [
        pytest.approx(p.probabilities) for p in before
    ]


def test_damaged_features_are_computed_anew(library: Library, case: Case) -> None:
    analyse(library, case, "phases")
    store = library.predictions(case.case_id)
    with store._transaction() as conn:
        conn.execute("UPDATE features SET vector = zeroblob(64) WHERE pts = 0")
    assert len(store.features(1)[0]) == SECONDS - 1
    assert analyse(library, case, "sprmamba")["sprmamba"] == (SECONDS, SECONDS, 0)
    assert len(store.features(1)[0]) == SECONDS


def test_a_backbone_makes_features_and_names_nothing(library: Library, case: Case) -> None:
    card = find_model("phases", library.folder)
    bare = replace(card, name="eyes", task="backbone", classes=(), weights_sha256="")
    models.save_model(models.load_model(card), bare, library.folder / "models")
    tcn = save_reader(library.folder / "models", "ms_tcn", layers=2, maps=4)
    models.save_model(
        models.load_model(tcn), replace(tcn, features_of="eyes"), library.folder / "models"
    )
    assert analyse(library, case, "ms_tcn") == {
        "eyes": (SECONDS, SECONDS, 0),
        "ms_tcn": (SECONDS, SECONDS, 0),
    }
    store = library.predictions(case.case_id)
    eyes, named = store.runs()
    assert (store.phases(eyes.run_id), len(store.phases(named.run_id))) == ((), SECONDS)
    assert analyse(library, case, "ms_tcn")["eyes"] == (SECONDS, 0, SECONDS)
    with pytest.raises(BadInput, match="made for backbone, which analysis does not run"):
        AnalysisJob(library, case, [find_model("eyes", library.folder)])


def test_what_is_foreseen_is_stored_beside_the_phases(library: Library, case: Case) -> None:
    save_reader(library.folder / "models", "supra", "phase-anticipation", layers=2, maps=4)
    assert analyse(library, case, "supra")["supra"] == (SECONDS, SECONDS, 0)
    card = find_model("supra", library.folder)
    store = library.predictions(case.case_id)
    eyes, run = store.runs()
    assert (run.task, run.settings["horizon_min"]) == ("phase-anticipation", 5.0)
    assert len(store.phases(run.run_id)) == SECONDS
    rows = store.foreseen(run.run_id)
    assert [(r.pts, r.index) for r in rows] == [(p.pts, p.index) for p in store.phases(run.run_id)]
    network = models.load_model(card)
    with torch.inference_mode():
        _, features = store.features(eyes.run_id)
        said = network(torch.from_numpy(features.astype(np.float32)).T[None])
    expected = said.next_logits[0].softmax(-1).numpy()
    assert np.array([r.next_probabilities for r in rows]) == pytest.approx(expected, abs=1e-6)
    to = network.minutes_to(said)[0].numpy()
    assert np.array([r.minutes_to for r in rows]) == pytest.approx(to, abs=1e-6)
    left = said.minutes_left[0].numpy()
    assert np.array([r.minutes_left for r in rows]) == pytest.approx(left, rel=1e-6)
    milliseconds, device = trial_ms(card, CPU)
    assert milliseconds > 0
    assert device == CPU


def test_what_is_foreseen_and_damaged_is_computed_anew(library: Library, case: Case) -> None:
    save_reader(library.folder / "models", "supra", "phase-anticipation", layers=2, maps=4)
    analyse(library, case, "supra")
    store = library.predictions(case.case_id)
    before = store.foreseen(2)
    with store._transaction() as conn:
        conn.execute("UPDATE foreseen SET minutes_left = zeroblob(12) WHERE pts = 0")
    assert store.foreseen(2) == before[1:]
    assert store.stored_pts(2).tolist() == [r.pts for r in before[1:]]
    assert analyse(library, case, "supra")["supra"] == (SECONDS, SECONDS, 0)
    assert store.foreseen(2) == before
    assert store.verify() == (3 * SECONDS, [])


def test_a_live_picture_is_refused_with_the_reason(library: Library) -> None:
    card = find_model("sprmamba", library.folder)
    with pytest.raises(BadInput, match=r"SPRMAMBA looks ahead: .* cannot say what goes on now"):
        LiveAnalysis([card])
    with pytest.raises(BadInput, match="Analyse the recording with it"):
        PhaseStream(card, CPU)
    tcn = save_reader(library.folder / "models", "ms_tcn", layers=2, maps=4)
    with pytest.raises(BadInput, match="reads what phases stored of a recording"):
        LiveAnalysis([tcn])


def test_by_default_it_comes_with_the_model_whose_features_it_reads(library: Library) -> None:
    """Where that model is used by itself; one that reads another's features does not come."""
    root = library.folder / "models"
    save_reader(root, "supra", "phase-anticipation", layers=2, maps=4)
    other = save_reader(root, "ms_tcn", layers=2, maps=4, causal=False)
    network = models.load_model(other)
    other = models.save_model(network, replace(other, features_of="eyes", causal=False), root)
    by_default = [c.name for c in default_models(library.folder, "unknown")]
    assert {"phases", "sprmamba", "supra"} <= set(by_default)
    assert "ms_tcn" not in by_default
    chosen = with_readers(
        [find_model("phases", library.folder), other], model_cards(root.parent), ""
    )
    assert [c.name for c in chosen] == ["phases", "ms_tcn", "supra"]


def test_what_does_not_go_together_is_said(library: Library, case: Case) -> None:
    card = find_model("sprmamba", library.folder)
    with pytest.raises(BadInput, match="frame features of lost, which is not installed"):
        with_encoders([replace(card, features_of="lost")], library.folder)
    slow = replace(card, frames_per_second=0.5)
    with pytest.raises(BadInput, match=r"reads 0\.5 frames a second, phases looks at 1"):
        AnalysisJob(library, case, [slow], device=CPU).run()
    wide = save_reader(library.folder / "models", "supra", in_features=40, layers=1)
    with pytest.raises(BadInput, match=r"takes features as \(B, 40, T\)"):
        AnalysisJob(library, case, [wide], device=CPU).run()


def save_dinov2(root: Path, name: str, image_size: int) -> tuple[DinoV2, ModelCard]:
    """A small one of random weights, with the card that an import makes."""
    torch.manual_seed(6)
    options = {"width": 64, "depth": 1, "heads": 1, "registers": 0}
    options |= {"image_size": image_size, "patch_size": 14}
    network = DinoV2(**options).eval()
    card = dinov2_card(name, options, ConversionReport(layout="official", loaded=()))
    return network, models.save_model(network, card, root)


def test_a_dinov2_makes_the_features_that_ms_tcn_reads(
    library: Library, case: Case, tmp_path: Path
) -> None:
    """From TeCNO's file to phases, and to moments that look like one; importing the encoder itself
    is tested by command."""
    root, name = library.folder / "models", "dinov2_vits14_pretrain"
    vit, eyes = save_dinov2(root, name, image_size=56)
    assert (eyes.task, eyes.input_size_px) == ("backbone", (56, 56))
    tcn = models.create_model("ms_tcn", in_features=64, layers=2, maps=4, num_classes=7)
    torch.save({"state_dict": tcn.state_dict()}, tmp_path / "tecno.ckpt")
    import_released(tmp_path / "tecno.ckpt", root, procedure="cholecystectomy", features_of=eyes)

    whole = (SECONDS, SECONDS, 0)
    assert analyse(library, case, "tecno") == {name: whole, "tecno": whole}
    assert analyse(library, case, "tecno")[name] == (SECONDS, 0, SECONDS)
    store = library.predictions(case.case_id)
    seen, named = store.runs()
    assert (store.phases(seen.run_id), len(store.phases(named.run_id))) == ((), SECONDS)
    _, features = store.features(seen.run_id)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (eyes.mean_rgb, eyes.std_rgb))
    with open_video(case.assets[0].files[0].path) as source, torch.inference_mode():
        for second, feature in enumerate(features):
            small = torch.from_numpy(resized(source.frame_at(second).rgb, 56, 56))
            token = vit(((small.permute(2, 0, 1) / 255 - mean) / std)[None]).whole[0]
            assert feature == pytest.approx(token.numpy(), abs=5e-3)
    index = MomentIndex(library)
    index.refresh()
    (encoder,) = index.encoders()
    assert (encoder.model, index.searched(encoder)) == (name, 1)
    asked = index.vector_at(encoder, case.assets[0].asset_id, 2000.0)
    (moment,) = index.search(encoder, asked)
    assert (moment.time_ms, moment.similarity) == (2000.0, pytest.approx(1.0, abs=0.01))


def test_a_dinov2_goes_on_where_it_was(library: Library, case: Case) -> None:
    """Of the official patch size and table, hence at 224 pixels."""
    root = library.folder / "models"
    _, eyes = save_dinov2(root, "vit", image_size=518)
    assert eyes.input_size_px == (224, 224)
    tcn = save_reader(root, "ms_tcn", in_features=64, layers=2, maps=4)
    tcn = models.save_model(models.load_model(tcn), replace(tcn, features_of="vit"), root)
    asked = iter(range(1000))
    job = AnalysisJob(library, case, [tcn], device=CPU, threads=1)
    assert job.run(should_cancel=lambda: next(asked) >= 4).cancelled
    frames, computed, resumed = analyse(library, case, "ms_tcn")["vit"]
    assert (frames, computed + resumed) == (SECONDS, SECONDS)
    assert resumed > 0
    stream = PhaseStream(eyes, CPU)
    stream.step(np.zeros((30, 40, 3), np.uint8))
    kept = stream.snapshot()
    stream.restore(kept)
    assert stream.snapshot() == kept
    with pytest.raises(BadInput, match="computed anew"):
        stream.restore(b"damaged")
