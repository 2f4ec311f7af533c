"""Which engine computes: a known one at once, one that fails is left, and all is recorded."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from app.core.errors import BadInput, EnvironmentProblem, Refused
from app.core.prediction import Instance
from app.inference import AnalysisJob
from app.inference.engines import kinds
from app.inference.engines.export import MODEL_FILE, exported, folder_of
from app.inference.engines.ladder import Ladder, Rung, read, write
from app.inference.engines.trial import Trial
from app.inference.segmenter import Segmenter
from app.store import Library
from app.video import describe_asset
from models.card import ModelCard
from tests.helpers.clips import RECIPES, make_clip
from tests.inference.engines.conftest import CPU, SIZE_PX, damaged, needed, picture


@pytest.fixture
def known(instruments: ModelCard, shared_cache: Path) -> ModelCard:
    """The network is exported, and OpenVINO and ONNX Runtime are known to say the same."""
    needed("openvino")
    needed("onnx")
    exported(instruments, *SIZE_PX)
    times = {"torch": 9.0, "openvino": 3.0, "onnx": 4.0}
    rungs = tuple(Rung(engine=k, passed=True, words="", ms=ms) for k, ms in times.items())
    keep(instruments, rungs)
    return instruments


def keep(card: ModelCard, rungs: tuple[Rung, ...]) -> None:
    width, height = SIZE_PX
    write(
        card,
        CPU,
        Ladder(
            model=card.name, width_px=width, height_px=height, device="d", threads=1, rungs=rungs
        ),
    )


def segmenter(card: ModelCard, engine: str) -> Segmenter:
    return Segmenter(card, CPU, threads=1, engine=engine)


def same(found: tuple[Instance, ...], others: tuple[Instance, ...]) -> bool:
    """The same instances up to the last digit: no more than a few pixels of an edge differ."""
    return [i.label for i in found] == [i.label for i in others] and all(
        a.score == pytest.approx(b.score, abs=1e-3) and a.mask.iou(b.mask) > 0.98
        for a, b in zip(found, others, strict=True)
    )


def test_the_fastest_known_engine_computes(known: ModelCard) -> None:
    ours, plain = segmenter(known, "auto"), segmenter(known, "torch")
    for seed in range(2):
        assert same(ours.predict(picture(seed)), plain.predict(picture(seed)))
    assert ours.describe()["engine"] == "openvino"
    assert ours.describe()["precision"] == "fp32"
    assert plain.describe()["engine"] == "torch"


def test_engines_that_fail_are_left_one_after_the_other(
    known: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, plain = segmenter(known, "auto"), segmenter(known, "torch")
    ours.predict(picture())

    def fail(_: object) -> None:
        raise RuntimeError("device lost")

    for left in ("openvino", "onnx"):
        assert ours._engines.key == left
        monkeypatch.setattr(ours._engines._engine, "forward", fail)
        assert same(ours.predict(picture(1)), plain.predict(picture(1)))
    assert ours.describe()["engine"] == "openvino, onnx, torch"


def test_what_differs_on_the_recording_itself_is_refused_for_good(
    known: ModelCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ladder says that it passed, but the file has been damaged since."""
    good = folder_of(known, *SIZE_PX) / MODEL_FILE
    bad = damaged(good, tmp_path / "bad.onnx")
    monkeypatch.setenv("TROCAR_CACHE", str(tmp_path))
    folder_of(known, *SIZE_PX).mkdir(parents=True)
    shutil.copyfile(bad, folder_of(known, *SIZE_PX) / MODEL_FILE)
    keep(known, (Rung(engine="torch", passed=True, words="", ms=9.0),
                 Rung(engine="onnx", passed=True, words="", ms=3.0)))  # fmt: skip
    ours, plain = segmenter(known, "auto"), segmenter(known, "torch")
    assert same(ours.predict(picture()), plain.predict(picture()))
    assert ours._engines.key == "torch"
    kept = read(known, CPU, SIZE_PX, 1)
    assert kept is not None
    assert not kept.rung("onnx").passed
    assert kept.rung("onnx").words.startswith("Refused: ")
    with pytest.raises(Refused, match=r"is not used here\. Refused: "):
        segmenter(known, "onnx").predict(picture())


def test_an_engine_that_is_not_installed_is_one_sentence(
    instruments: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kinds, "find_spec", lambda _: None)
    with pytest.raises(EnvironmentProblem, match=r"pip install trocar\[openvino"):
        segmenter(instruments, "openvino").predict(picture())
    with pytest.raises(BadInput, match="There is no engine “abacus”; there are auto, torch"):
        segmenter(instruments, "abacus")


def test_automatic_without_anything_known_computes_at_once_by_pytorch(
    instruments: ModelCard,
) -> None:
    ours = segmenter(instruments, "auto")
    assert ours.predict(picture())
    assert ours.describe()["engine"] == "torch"
    assert ours._engines._trial is None


def test_a_run_names_the_engines_that_computed_it(
    known: ModelCard, own_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    width, height = SIZE_PX
    recipe = replace(RECIPES["h264-mp4"], frames=6, width_px=2 * width, height_px=2 * height)
    clip = make_clip(tmp_path / "clip.mp4", recipe)
    with Library.open(own_library, ballast_bytes=0) as library:
        case = library.writer.create_case("t", "unknown", (describe_asset(clip, "a"),)).result()
        options = {"device": CPU, "threads": 1}
        AnalysisJob(library, case, [known], every=3, engine="openvino", **options).run()
        store = library.predictions(case.case_id)
        (run,) = store.runs()
        assert run.settings["engine"] == "openvino"
        assert run.settings["precision"] == "fp32"
        AnalysisJob(library, case, [known], every=2, engine="onnx", **options).run(
            should_cancel=iter([False] * 3 + [True] * 9).__next__
        )
        AnalysisJob(library, case, [known], every=2, engine="torch", **options).run()
        assert store.runs()[-1].settings["engine"] == "onnx, torch"


@pytest.mark.long
def test_a_child_process_tries_an_engine_on_a_frame(
    instruments: ModelCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed("onnx")
    monkeypatch.setenv("TROCAR_CACHE", str(tmp_path))
    found = segmenter(instruments, "onnx").predict(picture())
    assert same(found, segmenter(instruments, "torch").predict(picture()))
    kept = read(instruments, CPU, SIZE_PX, 1)
    assert kept is not None
    assert kept.rung("onnx").passed
    trial = Trial(instruments, CPU, 1, picture())
    assert not trial.is_over
    trial._end()
    assert trial.is_over
