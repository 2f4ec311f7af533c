"""Lengths of phases beside other cases, and the most uncertain cases, in a real library."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from app.analysis.doubt import uncertain_cases
from app.analysis.lengths import HUMAN, MODEL, PhaseLength, lengths_in_words, phase_lengths
from app.analysis.report import write_report
from app.cli.main import run
from app.core.correction import Change, Correction
from app.core.prediction import FEATURES_OF, PHASES, PhasePrediction
from app.exchange.labels.library import import_cases
from app.store import Library
from tests.store.conftest import open_small


def imported(library: Library, folder: Path, *lengths: tuple[int, int]) -> list[str]:
    """Cases of so many seconds of preparation and of clipping, in Heidelberg's form."""
    out = []
    for n, (first, second) in enumerate(lengths, 1):
        file = folder / f"video{n:02d}-phase.txt"
        text = "preparation\n" * first + "clippingcutting\n" * second
        file.write_text(text, encoding="utf-8")
        out += [c.case_id for c in import_cases(library, [file]).cases]
    return out


def analysed(library: Library, case_id: str, shares: list[float], **settings: str) -> None:
    """A finished run that is so sure of clipping, once a second."""
    (asset,) = library.case(case_id).assets
    store = library.predictions(case_id)
    run = store.start_run(
        asset=asset, model="m", task=PHASES, weights_sha256="",
        classes=("preparation", "clipping_cutting"), settings=dict(settings), sample_every=0,
        frames_expected=len(shares),
    )  # fmt: skip
    said = [
        PhasePrediction(pts=asset.pts(1000.0 * i), index=i, probabilities=(1 - p, p))
        for i, p in enumerate(shares)
    ]
    store.put_phases(run.run_id, said)
    store.finish(run.run_id)


def test_by_hand_and_in_the_report(own_library: Path, tmp_path: Path) -> None:
    with open_small(own_library) as library:
        first, *_ = imported(library, tmp_path, (10, 20), (20, 40), (40, 10), (30, 0))
        found = phase_lengths(library, first)
        assert (found.cases, found.by) == (3, {HUMAN})
        preparation, clipping = found.phases
        assert (preparation.phase, preparation.here_s) == ("preparation", 10)
        assert preparation.others_s == (20, 30, 40)
        assert preparation.median_s == 30
        assert preparation.middle_half_s == (25, 35)
        assert clipping.others_s == (10, 40), "a phase that a case lacks is not 0 there"
        assert clipping.longer_than_percent == 50
        words = lengths_in_words(clipping, lambda s: f"{s:.0f} s")
        assert words == "20 s; middle of 2 cases 25 s, from 10 s to 40 s"
        write_report(library, first, tmp_path / "report.html")
        html = (tmp_path / "report.html").read_text(encoding="utf-8")
        assert "20 s; middle of 2 cases 25 s, from 10 s to 40 s" in html
        assert "against 3 other cases" in html


def test_words_without_others() -> None:
    def words(here: float | None, *others: float) -> str:
        found = PhaseLength(phase="x", here_s=here, others_s=others)
        return lengths_in_words(found, lambda s: f"{s:.0f} s")

    assert words(8) == "8 s; no other case has it"
    assert words(None, 9) == "not in this case; 9 s in the one other case"


def test_a_case_of_which_a_part_is_known_is_no_measure(own_library: Path, tmp_path: Path) -> None:
    with open_small(own_library) as library:
        first, second, third = imported(library, tmp_path, (10, 20), (20, 40), (30, 30))
        (asset,) = library.case(third).assets
        whole = library.human_timeline(asset.asset_id)
        assert whole is not None
        part = replace(whole.timeline, segments=whole.timeline.segments[:1])
        change = Change(
            object_id=f"timeline:{asset.asset_id}",
            before=whole,
            after=replace(whole, timeline=part),
        )
        done = Correction(case_id=third, title="Half of it", changes=(change,))
        library.writer.commit(done).result()
        assert phase_lengths(library, first).cases == 1
        assert phase_lengths(library, first, cancelled=lambda: True).cases == 0
        assert phase_lengths(library, second).phases[0].others_s == (10,)
        # Where nobody named a phase the model's counts, as the ribbon shows it.
        analysed(library, third, [0.9] * 60)
        found = phase_lengths(library, third)
        assert found.by == {HUMAN, MODEL}
        assert [p.here_s for p in found.phases] == [30, 30]
        assert phase_lengths(library, first).cases == 2


def test_the_most_uncertain_case_comes_first_and_a_decided_one_does_not(
    own_library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_small(own_library) as library:
        one, two, three = imported(library, tmp_path, (30, 30), (20, 40), (10, 50))
        assert uncertain_cases(library) == ()
        assert phase_lengths(library, one).cases == 2
        assert not list((own_library / "predictions").glob("*")), "asking makes no file"
        for case_id in (one, two, three):
            library.writer.undo(case_id).result()
        analysed(library, one, [0.5] * 10 + [0.01] * 50)
        analysed(library, two, [0.01] * 60)
        analysed(library, two, [0.99] * 30 + [0.01] * 30, **{FEATURES_OF: "m"})
        analysed(library, three, [0.01] * 60)
        found = uncertain_cases(library)
        assert [c.case.case_id for c in found] == [two, one]
        assert found[0].seconds == pytest.approx(30)
        assert found[1].weight == pytest.approx(10)
        assert uncertain_cases(library, cancelled=lambda: True) == ()
        library.writer.redo(two).result()
        assert [c.case.case_id for c in uncertain_cases(library)] == [one]
    assert run(["cases", "--uncertain", "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["case"], told["open_places"], told["open_s"]) == (one, 1, 10)
    assert run(["cases", "--uncertain"]) == 0
    assert "1 place in doubt, 10 s" in capsys.readouterr().out


def test_predictions_past_reading_hide_no_other_case(own_library: Path, tmp_path: Path) -> None:
    with open_small(own_library) as library:
        one, two, three = imported(library, tmp_path, (30, 30), (20, 40), (10, 50))
        for case_id in (two, three):
            library.writer.undo(case_id).result()
            analysed(library, case_id, [0.5] * 60)
    (file,) = (own_library / "predictions").glob(f"*{two}*.sqlite")
    data = bytearray(file.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    file.write_bytes(data)
    with open_small(own_library) as library:
        assert phase_lengths(library, one).cases == 1
        assert [c.case.case_id for c in uncertain_cases(library)] == [three]


def test_a_case_that_is_deleted_meanwhile_hides_no_other_one(
    own_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_small(own_library) as library:
        one, two = imported(library, tmp_path, (30, 30), (20, 40))
        for case_id in (one, two):
            library.writer.undo(case_id).result()
            analysed(library, case_id, [0.5] * 60)
        stamp = library.predictions_stamp

        def deleted_then(case_id: str) -> tuple[int, ...]:
            there = stamp(case_id)
            if case_id == one and any(there):
                library.writer.delete_case(one).result()
            return there

        monkeypatch.setattr(library, "predictions_stamp", deleted_then)
        assert [c.case.case_id for c in uncertain_cases(library)] == [two]
        assert not list((own_library / "predictions").glob(f"*{one}*")), "asking makes no file"
