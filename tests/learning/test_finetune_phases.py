"""Fine-tuning of phase models by cases whose phases a human named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import models
from app.cli.main import run
from app.core.errors import BadInput
from app.inference.device import DeviceChoice
from app.learning import run_log
from app.learning.finetune import LOOKING, MEASURING
from app.learning.finetune_phases import apart, operations_of, phase_recipe
from app.learning.recorded import Recorded
from app.store import Library
from models import ModelCard
from models.card import ModelClass
from tests.helpers.coloured_cases import KEYS, colour_case
from tests.helpers.human_work import change, correction

CPU = DeviceChoice(device="cpu", name="test", reason="test", memory_mb=1)
WIDTH = 16


@pytest.fixture
def library(own_library: Path) -> Iterator[Library]:
    with Library.open(own_library, ballast_bytes=0) as opened:
        yield opened


def installed(folder: Path, system: str, **options: object) -> ModelCard:
    """A small untrained model of the three phases."""
    torch.manual_seed(3)
    reads = system == "ms_tcn"
    card = ModelCard(
        name=system.replace("_", "-"),
        title=system,
        system=system,
        options={"num_classes": 3, **options},
        task="phase-recognition",
        classes=tuple(ModelClass(key=k, name=k) for k in KEYS),
        procedures=("cholecystectomy",),
        causal=not reads,
        features_of="endomamba" if reads else "",
        demo=True,
        input_size_px=(32, 32),
        mean_rgb=(0.485, 0.456, 0.406),
        std_rgb=(0.229, 0.224, 0.225),
        frames_per_second=1.0,
    )
    network = models.create_model(system, **card.options)
    return models.save_model(network, card, folder / "models")


def eyes(folder: Path) -> ModelCard:
    size = {"width": WIDTH, "depth": 2, "image_size": 32, "patch_size": 16}
    return installed(
        folder, "endomamba", **size, temporal_position="frozen", state_reset="staggered"
    )


def test_a_model_that_reads_pictures_is_taught_and_measured_beside_its_base(
    library: Library,
    own_library: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told, say = list[str](), run_log.say
    monkeypatch.setattr(run_log, "say", lambda run, words: (told.append(words), say(run, words)))
    base = eyes(own_library)
    for number, seconds in ((1, (9, 12, 9)), (2, (12, 8, 10)), (3, (8, 9, 8))):
        colour_case(library, tmp_path / "videos", number, seconds)
    library.writer.flush()
    named = [part for case in ("0001", "0002", "0003") for part in ("--from", case)]
    given = ["--base", base.name, "--name", "mine", "--steps", "24", "--json"]
    assert run(["finetune", *named, *given]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["model"], said["task"]) == ("mine", "phase-recognition")
    assert (said["learnt"], said["held_out"]) == (60, 25)
    # The window reads how far it is with the recordings; each percent was written once.
    *looking, last = told
    assert (looking[0], looking[-1], last) == (f"{LOOKING}, 0 %", f"{LOOKING}, 100 %", MEASURING)
    assert len(set(looking)) == len(looking) > 50
    assert said["best"]["accuracy"] > said["base"]["accuracy"]
    card = models.read_card(own_library / "models" / "mine")
    assert (card.parent, card.demo, card.options) == (base.name, False, base.options)
    assert {"held_out_accuracy", "base_held_out_accuracy"} <= card.figures.keys()
    # Its name is taken from now on.
    assert run(["finetune", *named, *given]) == 1
    assert "There is a model mine already" in capsys.readouterr().err


def test_a_model_that_reads_features_learns_from_what_its_encoder_stored(
    library: Library, own_library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder = eyes(own_library)
    base = installed(own_library, "ms_tcn", in_features=WIDTH, layers=3, maps=8, causal=False)
    case = colour_case(library, tmp_path / "videos", 1, (9, 12, 9))
    library.writer.flush()
    given = ["--base", base.name, "--name", "mine", "--steps", "4", "--json"]
    assert run(["finetune", "--from", case.case_id, *given]) == 1
    said = capsys.readouterr().err
    assert "Nothing here can teach ms_tcn: 1 not analysed with endomamba yet." in said
    store = library.predictions(case.case_id)
    started = store.start_run(
        asset=case.assets[0],
        model=encoder.name,
        task=encoder.task,
        weights_sha256=encoder.weights_sha256,
        classes=encoder.class_keys,
        settings={},
        sample_every=0,
        frames_expected=30,
    )
    second = (case.assets[0].end_pts - case.assets[0].start_pts) // 30
    vectors = np.random.default_rng(0).normal(0, 1, (30, WIDTH)).astype(np.float16)
    store.put_features(started.run_id, [(second * i, v) for i, v in enumerate(vectors)])
    store.finish(started.run_id)
    given[3] = "theirs"
    assert run(["finetune", "--from", case.case_id, *given]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["learnt"], told["held_out"]) == (30, 0)
    card = models.read_card(own_library / "models" / "theirs")
    assert (card.features_of, card.causal) == (encoder.name, False)
    assert "learnt_from_accuracy" in card.figures


def test_what_cannot_teach_is_one_sentence(
    library: Library, own_library: Path, tmp_path: Path
) -> None:
    base = eyes(own_library)
    case = colour_case(library, tmp_path / "videos", 1, (2, 2, 2), labelled_s=0)
    recipe = phase_recipe(base, "mine", 3)
    with pytest.raises(BadInput, match="No phase in these cases can teach endomamba; name some"):
        operations_of(library, [case.case_id], base, recipe, tmp_path / "set", lambda *_: None)
    assert not (tmp_path / "set").exists()  # what is named now teaches a run of the same name


def test_a_run_goes_on_with_the_labels_that_it_began_with(
    library: Library, own_library: Path, tmp_path: Path
) -> None:
    base = eyes(own_library)
    cases = [colour_case(library, tmp_path / "videos", n, (3, 2, 3)) for n in (1, 2)]
    ids, looked = [case.case_id for case in cases], list[float]()
    recipe = phase_recipe(base, "mine", 3)

    def read(some: list[str], folder: str) -> list[tuple[str, list[int]]]:
        _, films = operations_of(
            library, some, base, recipe, tmp_path / folder, lambda *_: None, looked.append
        )
        return [(film.group, film.labels.tolist()) for film in films]

    begun = read(ids[:1], "set")
    assert begun == [("case-0001", [0] * 3 + [1] * 2 + [2] * 3)]
    # Eight frames each, and the case.
    assert looked == pytest.approx([n / 8 for n in range(9)])
    line = library.human_timeline(cases[0].assets[0].asset_id)
    assert line is not None
    whole = line.timeline
    painted = whole.painted(whole.start_pts, whole.end_pts, KEYS[2])
    moved = correction(ids[0], "Relabel", change(line, replace(line, timeline=painted)))
    library.writer.commit(moved).result()
    assert read(ids[:1], "set") == begun
    assert read(ids, "set") == begun  # nor does another case come in
    assert read(ids, "new")[0] == ("case-0001", [2] * 8)
    with pytest.raises(BadInput, match="Case 0001, which this run learns from, has lost"):
        read(ids[1:], "set")


def test_without_labelled_tools_a_taught_model_tells_none(
    library: Library, own_library: Path, tmp_path: Path
) -> None:
    base = replace(eyes(own_library), tools=(ModelClass(key="grasper", name="Grasper"),))
    case = colour_case(library, tmp_path / "videos", 1, (2, 2, 2))
    recipe = phase_recipe(base, "mine", 3)
    assert recipe.tools == ("grasper",)
    for _ in range(2):  # begun, and gone on with
        plan, films = operations_of(
            library, [case.case_id], base, recipe, tmp_path / "set", lambda *_: None
        )
    assert plan.tools == ()
    assert films[0].tools.shape == (6, 0)


@pytest.mark.parametrize(
    ("cases", "every", "held"), [(1, 4, []), (2, 4, [1]), (3, 4, [2]), (5, 4, [3]), (8, 4, [3, 7])]
)
def test_cases_are_held_out_whole(cases: int, every: int, held: list[int]) -> None:
    labels, features = np.zeros(1, np.int64), np.zeros((1, 2), np.float16)
    nothing = np.zeros((1, 0), np.float32)
    some = [
        Recorded(
            name=f"{n}-{part}", group=str(n), features=features, labels=labels,
            probabilities=nothing,
        )
        for n in range(cases)
        for part in range(2)
    ]  # fmt: skip
    learn, out = apart(some, every)
    assert [one.group for one in out] == [str(n) for n in held for _ in range(2)]
    assert len(learn) + len(out) == len(some)
