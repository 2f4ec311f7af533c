"""Phase networks that read pictures: taught and measured by labelled recordings of a library."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import models
from app.cli.library_cases import cases_of, held_apart, tool_rows
from app.cli.main import run
from app.core.errors import BadInput, EnvironmentProblem
from app.exchange.labels.library import import_cases, import_onto
from app.learning.evaluate_films import film_metrics_of
from app.learning.film_clips import FilmClips, Join
from app.learning.film_validation import FilmValidation
from app.learning.filmed import Filmed, filmed_cases
from app.learning.kept_frames import SUFFIX, KeptFrames, keep_frames, make_room
from app.learning.phases import train_phases
from app.learning.recipes import Recipe, read_recipe
from app.store import Library
from app.video import open_video
from models.card import ModelClass
from models.training import Progress
from models.types import UNKNOWN
from tests.helpers.coloured_cases import KEYS, colour_case, has_tool, label_files
from tests.helpers.human_work import asset

RECIPE = """
name = "colours"
title = "Colours"
system = "endomamba"
task = "phase-recognition"
classes = ["preparation", "calot_triangle_dissection", "clipping_cutting"]
procedures = ["cholecystectomy"]
input_size_px = [32, 32]
batch = 4
[options]
width = 16
depth = 2
image_size = 32
patch_size = 16
num_classes = 3
temporal_position = "frozen"
state_reset = "staggered"
[train]
steps = 30
learning_rate = 1e-2
warmup_steps = 3
report_every = 10
average_decay = 0.0
precision = "fp32"
[data]
source = "library"
seed = 3
window = 6
most_gap_s = 3.0
workers = 0
[card]
frames_per_second = 1.0
course_weight = 0.2
mean_rgb = [0.485, 0.456, 0.406]
std_rgb = [0.229, 0.224, 0.225]
"""


@pytest.fixture
def library(own_library: Path) -> Iterator[Library]:
    with Library.open(own_library, ballast_bytes=0) as opened:
        yield opened


def recipe_of(folder: Path, text: str = RECIPE) -> Recipe:
    path = folder / "colours.toml"
    path.write_text(text)
    return read_recipe(str(path))


def test_taught_measured_and_tested_by_an_official_split(
    library: Library, own_library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Colours tell the phases; videos 1 and 2 teach, 33 measures, 41 is left for the end."""
    for number, seconds in ((1, (12, 14, 10)), (2, (9, 16, 8)), (33, (8, 9, 12)), (41, (10, 7, 9))):
        colour_case(library, tmp_path / "videos", number, seconds)
    library.writer.flush()
    recipe_of(tmp_path)
    protocol = ["--data", "library", "--protocol", "cholec80:32/8/40", "--json"]
    out = own_library / "models" / "run"
    assert run(["train", str(tmp_path / "colours.toml"), "--out", str(out), *protocol]) == 0
    told = capsys.readouterr()
    assert "Learning from 2 recordings, measuring on 1: 69 and 29 frames." in told.err
    said = json.loads(told.out)
    assert said["best"]["accuracy"] > 0.8
    card = models.read_card(out / "colours")
    assert (
        card.trained.data
        == "2 labelled recordings of a library, the training part of cholec80:32/8/40."
    )
    # The course is that of these operations: never back to an earlier phase.
    change = card.course["change"]
    assert change[0][1] > change[0][2]
    assert change[1][0] < 0.01
    kept = sorted((own_library / "cache").glob(f"*{SUFFIX}"))
    assert len(kept) == 3
    assert run(["evaluate", "--model", str(out / "colours"), *protocol]) == 0
    got = json.loads(capsys.readouterr().out)
    assert (got["split"], got["videos"]) == ("test", 1)
    assert "mean over videos" in got["conventions"]["video_then_phase"]
    assert got["raw"]["video_then_phase"]["accuracy"]["mean"] > 80
    assert got["video_then_phase"]["jaccard"]["mean"] > 60
    # Whole operations have their lengths; what was looked at for training was not again.
    assert len(set((own_library / "cache").glob(f"*{SUFFIX}")) - set(kept)) == 1


def test_base_of_other_classes_lends_all_but_its_head(
    library: Library, own_library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    colour_case(library, tmp_path / "videos", 1)
    library.writer.flush()
    recipe = recipe_of(tmp_path)
    options = {**recipe.options, "num_classes": 5}
    card = models.ModelCard(
        name="other",
        title="Other",
        system="endomamba",
        task="phase-recognition",
        classes=tuple(ModelClass(key=f"p{i}", name=f"P{i}") for i in range(5)),
        options=options,
        input_size_px=(32, 32),
        mean_rgb=(0.485, 0.456, 0.406),
        std_rgb=(0.229, 0.224, 0.225),
    )
    models.save_model(models.create_model("endomamba", **options), card, own_library / "models")
    command = ["train", str(tmp_path / "colours.toml"), "--data", "library", "--base", "other"]
    (tmp_path / "colours.toml").write_text(RECIPE.replace("steps = 30", "steps = 1"))
    assert run([*command, "--out", str(tmp_path / "run"), "--json"]) == 0
    told = capsys.readouterr()
    assert "other names other phases (5, not 3), so that its head is learnt anew" in told.err
    assert models.read_card(Path(json.loads(told.out)["card"])).class_keys == KEYS


def test_what_cannot_be_learnt_from_is_one_sentence(
    library: Library, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = library.writer.create_case("Gone", "unknown", (asset(path="/gone/one.mp4"),)).result()
    import_onto(library, case.case_id, label_files(tmp_path, 1, np.array([0, 1, 2])))
    import_cases(library, label_files(tmp_path / "alone", 2, np.array([0, 1])))
    library.writer.flush()
    recipe_of(tmp_path)
    for options, sentence in (
        ([], "learns from labelled cases; give --data library"),
        (["--data", "."], "learns from labelled recordings, not from a folder"),
        (["--data", "library"], "The recording one.mp4 is not where it was"),
        (["--data", "library", "--protocol", "cholec80:1/2"], "There is no split 1/2 of Cholec80"),
        (["--data", "library", "--protocol", "autolaparo:10/4/7"], "in the training part of auto"),
    ):
        command = ["train", str(tmp_path / "colours.toml"), "--out", str(tmp_path / "run")]
        assert run([*command, *options]) != 0
        assert sentence in capsys.readouterr().err
    films = filmed_cases(
        library, library.cases(), read_recipe(str(tmp_path / "colours.toml")), tmp_path
    )
    assert not films.found
    assert films.problems[1] == "Case 0002 has labels and no recording."


def test_unlabelled_and_unnamed_time_is_not_known(library: Library, tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path)
    two = replace(recipe, classes=KEYS[:2], tools=("grasper", "hook", "clipper"))
    case = colour_case(library, tmp_path / "videos", 1, (5, 4, 6), labelled_s=12)
    rows = tool_rows(library, case, case.assets[0])
    films = filmed_cases(library, [case], two, tmp_path / "kept", rows_of=lambda *_: rows)
    (film,) = films.found
    assert film.labels.tolist() == [0] * 5 + [1] * 4 + [UNKNOWN] * 6
    assert dict(films.strange) == {"clipping_cutting": 3}
    assert film.tools[:, 0].tolist() == [int(has_tool(s)) for s in range(12)] + [UNKNOWN] * 3
    assert film.tools[:, 1].tolist() == [0] * 12 + [UNKNOWN] * 3
    assert set(film.tools[:, 2].tolist()) == {UNKNOWN}  # the files do not have it
    gestures = replace(recipe, classes=("other",), procedures=("hysterectomy",))
    for other, why in (
        (replace(recipe, classes=("other",)), "Case 0001 has no phase that Colours names."),
        (gestures, "Case 0001 is another operation (laparoscopic cholecystectomy) and has no"),
    ):
        one = filmed_cases(library, [case], other, tmp_path / "kept")
        assert not one.found
        assert not one.strange  # they are of no case that takes part
        assert one.problems[0].startswith(why)


def test_clips_are_frames_some_seconds_apart_around_what_is_labelled(
    library: Library, tmp_path: Path
) -> None:
    recipe = recipe_of(tmp_path)
    case = colour_case(library, tmp_path / "videos", 1, (30, 20, 10), labelled_s=40)
    short = colour_case(library, tmp_path / "videos", 2, (1, 0, 0))
    films = filmed_cases(library, [case, short], recipe, tmp_path / "kept").found
    clips = FilmClips(recipe, films[:1])
    rng = np.random.default_rng(0)
    drawn = [clips.places(rng)[1] for _ in range(200)]
    gaps = np.array([np.diff(places) for places in drawn])
    assert gaps.min() == 1
    assert gaps.max() == 3
    assert {len(places) for places in drawn} == {6}
    assert min(p.min() for p in drawn) == 0
    assert max(p.max() for p in drawn) >= 40  # time without labels may belong to a clip …
    assert all((films[0].labels[p] != UNKNOWN).any() for p in drawn)  # … but is never all of it
    # By the root of their lengths, short phases come as often as their root says.
    rooted = FilmClips(replace(recipe, data={**recipe.data, "phase_power": 0.5}), films[:1])
    shares = rooted._shares
    assert shares[:30].sum() / shares[30:].sum() == pytest.approx(np.sqrt(30 / 10))
    # A recording of one frame is that frame all the time.
    one, places = FilmClips(recipe, films[1:]).places(rng)
    assert len(one.frames) == 1
    assert places.tolist() == [0] * 6
    batch, labels = Join()([clips(4), clips(5)])
    assert batch.shape == (2, 3, 6, 32, 32)
    assert labels.shape == (2, 6)
    assert np.array_equal(clips(4).values, batch[0].numpy())  # the same number, the same clip


def test_frames_are_decoded_once_and_made_again_where_they_are_damaged(
    library: Library, tmp_path: Path
) -> None:
    case = colour_case(library, tmp_path / "videos", 1, (3, 3, 3))
    kept = keep_frames(case.assets[0], tmp_path / "kept", 1.0, (36, 36))
    with open_video(tmp_path / "videos" / "video01.mp4") as source:
        assert kept.pts.tolist() == [source.pts(i) for i in range(9)]
    assert kept[4].shape == (36, 36, 3)
    assert abs(int(kept[7][30, 20, 2]) - 200) < 25
    data = kept.path.read_bytes()
    stamp = kept.path.stat().st_ino
    assert keep_frames(case.assets[0], tmp_path / "kept", 1.0, (36, 36)).path == kept.path
    assert kept.path.stat().st_ino == stamp
    kept.path.write_bytes(data[:-50])
    with pytest.raises(BadInput, match="gone or damaged"):
        KeptFrames(kept.path)
    again = keep_frames(case.assets[0], tmp_path / "kept", 1.0, (36, 36))
    assert again.path.read_bytes() == data
    assert [p.name for p in (tmp_path / "kept").iterdir()] == [again.path.name]


def test_kept_frames_are_bounded(tmp_path: Path) -> None:
    files = [tmp_path / f"{n}{SUFFIX}" for n in range(4)]
    for age, file in enumerate(files):
        file.write_bytes(bytes(100))
        os.utime(file, (1000 + age, 1000 + age))
    make_room(tmp_path, {files[0]}.__contains__, 250)
    assert [f.exists() for f in files] == [True, False, False, True]
    with pytest.raises(EnvironmentProblem, match="take more than"):
        make_room(tmp_path, {files[0], files[3]}.__contains__, 150)


def test_the_published_changes_are_learnt_through(library: Library, tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path)
    case = colour_case(library, tmp_path / "videos", 1, (4, 4, 4))
    films = filmed_cases(library, [case], recipe, tmp_path / "kept").found
    published = {"mixup": 0.8, "cutmix": 1.0, "rand_augment": [4, 7], "erasing": 0.25}
    plan = replace(
        recipe,
        data={**recipe.data, **published},
        train={**recipe.train, "steps": 4, "layer_decay": 0.85},
    )
    told: list[Progress] = []
    result = train_phases(plan, films, tmp_path / "run", on_progress=told.append)
    assert (result.ended, result.steps) == ("done", 4)
    assert np.isfinite(told[-1].loss)


def test_a_recording_of_one_frame_is_measured(
    library: Library, own_library: Path, tmp_path: Path
) -> None:
    recipe = recipe_of(tmp_path)
    case = colour_case(library, tmp_path / "videos", 1, (1, 0, 0))
    films = filmed_cases(library, [case], recipe, tmp_path / "kept").found
    network = models.create_model(recipe.system, **recipe.options)
    card = models.ModelCard(
        name="one",
        title="One",
        system=recipe.system,
        task=recipe.task,
        classes=tuple(ModelClass(key=k, name=k) for k in KEYS),
        options=recipe.options,
        input_size_px=(32, 32),
    )
    card = models.save_model(network, card, own_library / "models")
    got = film_metrics_of(card, films)
    assert got["videos"] == 1
    assert got["pooled"]["accuracy"] in (0.0, 100.0)
    assert FilmValidation(recipe, films)(network.eval()).keys() == {"accuracy", "jaccard", "f1"}


def test_a_case_is_never_on_both_sides() -> None:
    some = [made_up(f"{case}-{part}", case) for case in "abc" for part in (1, 2)]
    learn, held = held_apart(some, 0.3, seed=1)
    assert len(held) == 2
    assert {one.group for one in learn}.isdisjoint(one.group for one in held)
    with pytest.raises(BadInput, match="hold out less"):
        held_apart(some[:2], 0.5, seed=1)


def made_up(name: str, group: str) -> Filmed:
    labels = np.zeros(1, np.int64)
    frames: KeptFrames = KeptFrames.__new__(KeptFrames)
    return Filmed(name=name, group=group, frames=frames, labels=labels, tools=np.zeros((1, 0)))


def test_parts_of_a_split_by_either_name(library: Library, tmp_path: Path) -> None:
    for number in (1, 33):
        import_cases(library, label_files(tmp_path, number, np.array([0, 1, number % 3])))
    names = {
        part: [c.case_id for c in cases_of(library, "cholec80:32/8/40", part)]
        for part in ("train", "val", "validation", "test", "all")
    }
    assert names == {
        "train": ["0001"], "val": ["0002"], "validation": ["0002"], "test": [],
        "all": ["0001", "0002"],
    }  # fmt: skip
