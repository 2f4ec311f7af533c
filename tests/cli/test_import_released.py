"""`trocar models import FILE`: weights that their authors released become a model here."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import models
from app.cli.main import run
from app.cli.models import card_words, conversion_words
from app.core.errors import BadInput
from app.core.taxonomy import find_taxonomy
from app.inference.cards import context_words, default_models, find_model
from app.inference.foreign_cards import endomamba_card, endonet_card, features_card
from app.inference.phases import PhaseStream
from app.learning.pretraining import start_from_backbone
from app.learning.recipes import read_recipe
from app.learning.start import start_from
from app.ui.model_sheet import card_lines
from models.card import ModelCard
from models.dinov2 import DinoV2
from models.endomamba import EndoMamba
from models.endomamba.convert import convert
from models.foreign import ConversionReport
from models.pranet import PraNet

# The released layout in all but width: 24 blocks, 331 tensors.
NARROW = {"width": 32, "depth": 24, "image_size": 64, "patch_size": 16, "num_classes": 7}
TINY = {"width": 16, "depth": 4, "image_size": 32}


@pytest.fixture(scope="module")
def network() -> EndoMamba:
    torch.manual_seed(3)
    return EndoMamba(**NARROW, state_reset="staggered", temporal_position="frozen").eval()


def imported(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = run(["models", "import", *(str(a) for a in arguments)])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_a_phase_file_can_be_used_at_once(
    network: EndoMamba, tmp_path: Path, own_library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = {f"module.{k}": v for k, v in network.state_dict().items()}
    assert len(weights) == 331
    file = tmp_path / "Phase Best.pth"
    torch.save({"model": weights, "epoch": 49, "args": argparse.Namespace(lr=5e-5)}, file)
    status, out, err = imported(capsys, file, "--json")
    assert (status, err) == (0, "")
    said = json.loads(out)
    assert (said["name"], said["task"]) == ("phase-best", "phase-recognition")
    assert said["classes"][1] == "ligament_peritoneum_division"
    assert (len(said["conversion"]["loaded"]), said["conversion"]["unexpected"]) == (331, [])
    card = find_model("phase-best", own_library)
    assert card.weights_path is not None
    assert card.weights_path.suffix == ".safetensors"
    assert card in default_models(own_library, "hysterectomy")
    assert [p.name for p in (own_library / "models").iterdir()] == ["phase-best"]
    stream = PhaseStream(card)
    frame = torch.randint(0, 256, (64, 64, 3), dtype=torch.uint8, generator=torch.Generator())
    got = stream.step(frame.numpy())
    mean, std = torch.tensor(card.mean_rgb), torch.tensor(card.std_rgb)
    with torch.no_grad():
        logits, _ = network.step(((frame / 255 - mean) / std).permute(2, 0, 1)[None])
    assert got == pytest.approx(logits.softmax(-1)[0].numpy(), abs=1e-5)

    published = {"state_reset": "staggered", "temporal_position": "frozen"}
    assert card.options.items() >= published.items()
    context = "An answer rests on the last 16 to 31 s, in the first 64 s on all of them."
    assert f"Context:    {context}" in card_words(card)
    assert (context, "3") in card_lines(card, find_taxonomy("hysterectomy"))

    status, _, err = imported(capsys, file)
    assert status == 1
    assert "phase-best is installed already" in err
    status, _, err = imported(capsys, file, "--procedure", "unknown")
    assert (status, err.count("\n")) == (1, 1)
    assert "tells 7 phases apart" in err


def test_how_a_stream_starts_afresh_and_counts_is_chosen(
    network: EndoMamba, tmp_path: Path, own_library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is chosen is what the model then does."""
    file = tmp_path / "for-ever.pth"
    torch.save(network.state_dict(), file)
    chosen = ("--state-reset", "none", "--temporal-position", "running")
    status, _, err = imported(capsys, file, *chosen)
    assert (status, err) == (0, "")
    card = find_model("for-ever", own_library)
    assert card.options.items() >= {"state_reset": "none", "temporal_position": "running"}.items()
    assert "never reset" in context_words(card)
    stream, frames = PhaseStream(card), np.zeros((66, 64, 64, 3), np.uint8)
    frames[0] = 200
    for frame in frames:
        got = stream.step(frame)
    mean, std = torch.tensor(card.mean_rgb), torch.tensor(card.std_rgb)
    clip = ((torch.from_numpy(frames) / 255 - mean) / std).permute(3, 0, 1, 2)[None]
    same = EndoMamba(**NARROW).eval()
    same.load_state_dict(network.state_dict())
    with torch.no_grad():
        logits = same(clip)[0, -1]
    assert got == pytest.approx(logits.softmax(-1).numpy(), abs=1e-4)

    with pytest.raises(models.OptionError, match="no state_reset 'sometimes'; it knows none, stag"):
        convert(network.state_dict(), state_reset="sometimes")


def test_a_pretraining_file_is_a_backbone_to_train(
    network: EndoMamba, tmp_path: Path, own_library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = {
        f"encoder.{name}": value
        for name, value in network.state_dict().items()
        if not name.startswith("head.") and name != "cls_token"
    }
    weights["encoder.pos_embed"] = weights["encoder.pos_embed"][:, 1:].clone()
    weights |= {"mask_token": torch.zeros(1, 1, 16), "encoder_to_decoder.weight": torch.zeros(16)}
    file = tmp_path / "checkpoint-499.pth"
    torch.save({"model": weights, "optimizer": {}, "epoch": 499, "scaler": {}}, file)
    status, out, _ = imported(capsys, file)
    assert status == 0
    assert "checkpoint-499 is installed: EndoMamba of width 32, backbone" in out
    assert "327 tensors were taken, 3 left out" in out
    assert "It cannot be chosen" in out
    assert "cls_token, pos_embed" in out
    card = find_model("checkpoint-499", own_library)
    assert (card.task, card.classes) == ("backbone", ())
    assert card not in default_models(own_library, "hysterectomy")

    assert run(["models", "check", "checkpoint-499"]) == 0
    assert "A backbone does not run by itself" in capsys.readouterr().out

    plan, start = start_from(card, read_recipe("endomamba-demo"))
    assert (plan.input_size_px, plan.options["depth"]) == ((64, 64), 24)
    assert plan.card["licence"] == card.licence
    assert plan.name == "endomamba-demo-on-checkpoint-499"
    assert start.head.weight.shape == (7, 32)
    assert start.head.weight.abs().sum() > 0
    assert torch.equal(start.layers[20].mixer.A_log, network.layers[20].mixer.A_log)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_an_encoder_is_a_backbone_to_train(
    suffix: str, tmp_path: Path, own_library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(4)
    encoder = DinoV2(width=64, depth=2, heads=1, registers=4, image_size=56)
    weights = {f"backbone.{n}": v.clone() for n, v in encoder.state_dict().items()}
    weights["head.weight"] = torch.ones(3)
    file = tmp_path / f"ViT{suffix}"
    if suffix == ".pth":
        torch.save({"state_dict": weights}, file)
    else:
        save_file(weights, file)
    status, out, err = imported(capsys, file)
    assert (status, err) == (0, "")
    assert "vit is installed: DINOv2 of width 64 with 4 registers, frame features" in out
    assert f"{len(weights) - 1} tensors were taken, 1 left out" in out
    assert "trocar train endoarss --base vit" in out
    assert "models import FILE --features-of vit" in out
    card = find_model("vit", own_library)
    assert (card.system, card.task, card.input_size_px) == ("dinov2", "backbone", (56, 56))
    loaded = models.load_model(card)
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, encoder.state_dict()[name]), name

    broken = tmp_path / f"broken{suffix}"
    del weights["backbone.norm.bias"]
    torch.save(weights, broken) if suffix == ".pth" else save_file(weights, broken)
    status, _, err = imported(capsys, broken)
    assert (status, err.count("\n")) == (1, 1)
    assert "norm.bias is missing, the first of 1" in err


def test_what_cannot_be_imported_leaves_nothing_behind(
    tmp_path: Path, own_library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.pth"
    torch.save({"model": {"conv.weight": torch.zeros(3)}}, other)
    for file, sentence in (
        (other, "holds no weights of EndoMamba"),
        (tmp_path / "gone.pth", "gone.pth; name a model's folder, or a file of weights"),
    ):
        status, out, err = imported(capsys, file)
        assert (status, out) == (1, "")
        assert sentence in err
    assert list((own_library / "models").iterdir()) == []
    with pytest.raises(models.CardError):
        models.find_card("other", own_library / "models")


@pytest.mark.long
def test_an_imagenet_encoder_is_where_pranet_starts(
    tmp_path: Path, own_library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = PraNet(classifier=True)
    weights = {
        name.removeprefix("resnet."): value
        for name, value in network.state_dict().items()
        if name.startswith("resnet.")
    }
    file = tmp_path / "res2net50_v1b_26w_4s-3cf99910.pth"
    torch.save(weights, file)
    status, out, err = imported(capsys, file)
    assert (status, err) == (0, "")
    assert "Its layout: imagenet; " in out
    assert "tensors were taken, 2 left out" in out
    assert "It cannot be chosen. A backbone whose decoder is untrained" in out
    name = "res2net50_v1b_26w_4s-3cf99910"
    assert f"trocar train pranet --base {name}" in out
    card = find_model(name, own_library)
    assert (card.system, card.task, card.classes) == ("pranet", "backbone", ())
    plan, start = start_from(card, read_recipe("pranet"))
    assert (plan.input_size_px, plan.classes) == ((352, 352), ("polyp",))
    own = start.state_dict()
    assert all(torch.equal(own[f"resnet.{k}"], v) for k, v in weights.items() if k[:3] != "fc.")


def test_what_is_no_model_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "operations"
    folder.mkdir()
    (folder / "video.mp4").write_bytes(b"\0\0\0\x18ftypmp42")
    monkeypatch.chdir(folder)
    for named, name in (("video.mp4", "video.mp4"), (".", "operations")):
        status, _, err = imported(capsys, named)
        assert status == 1
        assert err.startswith(f"{name} is no model; name a folder with card.toml in it")


def test_a_public_resnet_makes_frame_features(
    tmp_path: Path, own_library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(5)
    state = models.create_model("endonet").model.state_dict()
    trunk = {f"_feature_blocks.{k}": v for k, v in state.items()}
    file = tmp_path / "moco.torch"
    torch.save({"classy_state_dict": {"base_model": {"model": {"trunk": trunk}}}}, file)
    status, out, err = imported(capsys, file)
    assert (status, err) == (0, "")
    assert "moco is installed: ResNet-50, frame features (vissl)" in out
    assert "318 tensors were taken, 0 left out" in out
    assert "models import FILE --features-of moco" in out
    card = find_model("moco", own_library)
    assert (card.system, card.task, card.input_size_px) == ("endonet", "backbone", (224, 224))
    assert "CC BY-NC-SA" in card.licence
    loaded = models.load_model(card)
    assert all(torch.equal(state[k], v) for k, v in loaded.model.state_dict().items())


def test_a_network_of_frame_features_names_its_encoder(
    network: EndoMamba, tmp_path: Path, own_library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder = ModelCard(
        name="eyes", title="Eyes", system="endomamba", task="backbone", classes=(), options=NARROW
    )
    models.save_model(network, encoder, own_library / "models")
    options = {"in_features": 32, "num_classes": 7, "stages": 2, "layers": 2, "width": 16}
    state = models.create_model("sprmamba", **options).state_dict()
    file = tmp_path / "spr.pth"
    torch.save({"model": state, "epoch": 3}, file)
    status, out, err = imported(
        capsys, file, "--features-of", "eyes", "--procedure", "cholecystectomy", "--json"
    )
    assert (status, err) == (0, "")
    said = json.loads(out)
    assert (said["task"], said["causal"], said["features_of"]) == (
        "phase-recognition",
        False,
        "eyes",
    )
    assert said["classes"][6] == "gallbladder_retraction"
    card = find_model("spr", own_library)
    assert "looks ahead" in card.why_not_live
    assert all(torch.equal(state[k], v) for k, v in models.load_model(card).state_dict().items())
    assert run(["models", "show", "spr"]) == 0
    shown = capsys.readouterr().out
    assert "frame features of eyes" in shown
    assert "cannot say what goes on now" in shown

    other = {**options, "in_features": 40}
    torch.save(models.create_model("sprmamba", **other).state_dict(), tmp_path / "wide.pth")
    status, _, err = imported(capsys, tmp_path / "wide.pth", "--features-of", "eyes")
    assert (status, err.count("\n")) == (1, 1)
    assert "wide reads 40 features of a frame, eyes makes 32" in err
    assert not (own_library / "models" / "wide").exists()


def test_whose_features_are_read_has_to_be_said() -> None:
    report = ConversionReport(layout="tecno", loaded=(), missing=(), unexpected=())
    options = {"in_features": 2048, "num_classes": 7}
    with pytest.raises(BadInput, match=r"reads 2048 features .* with --features-of"):
        features_card("tcn", "ms_tcn", options, report, "cholecystectomy", "")
    with pytest.raises(BadInput, match="tells 7 phases apart"):
        features_card("tcn", "ms_tcn", options, report, "unknown", "eyes")
    card = features_card("tcn", "ms_tcn", options, report, "cholecystectomy", "eyes")
    # Cholec80's own order, in which TeCNO's outputs come
    assert card.class_keys == (
        "preparation",
        "calot_triangle_dissection",
        "clipping_cutting",
        "gallbladder_dissection",
        "gallbladder_packaging",
        "cleaning_coagulation",
        "gallbladder_retraction",
    )
    assert card.causal
    assert "reads what eyes stored" in card.why_not_live


def test_tools_are_named_where_the_file_has_cholec80s_head_of_them() -> None:
    report = ConversionReport(layout="tecno", loaded=(), missing=(), unexpected=())
    card = endonet_card("eyes", {"num_classes": 7, "num_tools": 7}, report)
    names = ["Grasper", "Bipolar", "Hook", "Scissors", "Clipper", "Irrigator", "Specimen bag"]
    assert [tool.name for tool in card.tools] == names
    assert endonet_card("eyes", {"num_classes": 7, "num_tools": 5}, report).tools == ()
    assert endonet_card("eyes", {}, report).tools == ()


def test_a_classification_file_is_a_backbone_and_says_that_its_head_is_left_out() -> None:
    torch.manual_seed(2)
    source = models.create_model("endomamba", head="classification", num_classes=2, **TINY)
    weights = {f"module.{name}": value for name, value in source.state_dict().items()}
    file = {"backbone_state_dict": weights, "epoch": 19, "best_f1": 0.96}
    options, network, report = convert(file)
    assert report.unexpected == ("module.head.bias", "module.head.weight")
    card = endomamba_card("polypdiag", options, report, "hysterectomy")
    assert (card.task, card.classes, options["num_classes"]) == ("backbone", (), 1)
    assert "its head, which names a whole clip by its class tokens, was left out" in card.limits
    own = network.state_dict()
    assert all(torch.equal(own[n], v) for n, v in source.state_dict().items() if n[:4] != "head")
    words = conversion_words(card, asdict(report))
    assert "trocar train endomamba-demo --base polypdiag" in words

    left = report
    whole, kept, report = convert(file, keep_head=True)
    assert whole["head"] == "classification"
    clip = torch.randn(1, 3, 8, 32, 32)
    with torch.inference_mode():
        assert torch.equal(kept.eval()(clip), source.eval()(clip))

    card = endomamba_card("polypdiag", whole, report, "hysterectomy", ("No polyp", "Polyp"))
    assert (card.task, card.activity_keys) == ("activity-and-segmentation", ("no_polyp", "polyp"))
    assert "It can be chosen; " in conversion_words(card, asdict(report))
    for wrong, said in ((("Polyp",), "tells 2 classes apart, --classes names 1"), (("?", "a"), "")):
        with pytest.raises(BadInput, match=said or "a name of its own"):
            endomamba_card("polypdiag", whole, report, "hysterectomy", wrong)
    with pytest.raises(BadInput, match="no head whose classes could be named"):
        endomamba_card("polypdiag", options, left, "hysterectomy", ("a", "b"))


def test_what_does_not_run_by_itself_is_not_said_to() -> None:
    source = models.create_model("endomamba", head="localisation", num_classes=2, **TINY)
    options, _, report = convert(source.state_dict())
    words = conversion_words(
        endomamba_card("other", options, report, "hysterectomy"), asdict(report)
    )
    assert "It cannot be chosen. " in words
    assert "from Python alone" in words
    assert "trocar train endomamba-demo --base other" in words


@pytest.mark.parametrize("head", ["segmentation", "localisation", "classification"])
def test_whatever_an_endomamba_answered_with_it_is_taught_phases(head: str, tmp_path: Path) -> None:
    torch.manual_seed(6)
    source = models.create_model("endomamba", head=head, num_classes=2, **TINY)
    weights: dict[str, object] = dict(source.state_dict())
    if head == "classification":
        weights = {"backbone_state_dict": weights}
    options, network, report = convert(weights, keep_head=True)
    named = () if head == "localisation" else ("a", "b")
    card = endomamba_card("other", options, report, "hysterectomy", named)
    card = models.save_model(network, card, tmp_path)
    recipe = replace(read_recipe("endomamba-demo"), options={})
    plan, start = start_from(card, recipe)
    assert "head" not in plan.options
    assert start.head.weight.shape == (7, 16)
    inside = getattr(source, "encoder", source)
    assert torch.equal(start.layers[3].mixer.A_log, inside.layers[3].mixer.A_log)
    assert torch.equal(start.pos_embed, inside.pos_embed)
    pretraining = read_recipe("endomamba-pretrain-cpu")
    _, begun = start_from_backbone(card, pretraining)
    assert torch.equal(begun.encoder.layers[3].mixer.D, inside.layers[3].mixer.D)


@pytest.mark.long
def test_a_segmentation_file_can_be_used_at_once(
    tmp_path: Path, own_library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = models.create_model("endomamba", head="segmentation", num_classes=2, **TINY)
    file = tmp_path / "polyps.pth"
    torch.save(source.state_dict(), file)
    status, out, err = imported(capsys, file, "--classes", "Background, Polyp")
    assert (status, err) == (0, "")
    assert "It can be chosen; its outputs are taken for these classes: Background, Polyp." in out
    card = find_model("polyps", own_library)
    assert (card.class_keys, card.options["state_reset"]) == (("background", "polyp"), "none")
    assert run(["models", "check", "polyps"]) == 0
    assert "and it runs" in capsys.readouterr().out
    assert run(["evaluate", "--model", "polyps", "--data", "phantom"]) == 1
    assert "polyps looks at recordings; its answers are not measured yet" in capsys.readouterr().err

    phases = tmp_path / "resnet.pth"
    torch.save(models.create_model("endonet").model.state_dict(), phases)
    status, _, err = imported(capsys, phases, "--classes", "a,b")
    assert (status, err.count("\n")) == (1, 1)
    assert "resnet is no EndoMamba; leave --state-reset" in err
    assert not (own_library / "models" / "resnet").exists()
