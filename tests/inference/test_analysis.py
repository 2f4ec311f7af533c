"""An analysis computes every frame once, whatever interrupts it."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path

import pytest

from app.core.case import Case
from app.core.errors import BadInput
from app.core.prediction import FramePrediction
from app.inference import AnalysisJob, Progress, find_model
from app.inference.device import DeviceChoice
from app.inference.phase_pass import PhasePass
from app.inference.postprocess import Rules, rules_of
from app.store import Library
from app.video import describe_asset, open_video, opening
from app.video import index as indexing
from models.card import ModelCard
from tests.helpers.clips import RECIPES, damaged_clip, make_clip
from tests.inference.conftest import save_instruments, save_phases

CPU = DeviceChoice(device="cpu", name="test", reason="test", memory_mb=1)
FRAMES = 40


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds at 10 frames per second."""
    recipe = replace(RECIPES["h264-mp4"], frames=FRAMES, rate=10)
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", recipe)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    """A library with an instrument and a phase model."""
    save_instruments(tmp_path / "library" / "models")
    save_phases(tmp_path / "library" / "models")
    with Library.open(tmp_path / "library", ballast_bytes=0) as opened:
        yield opened


def new_case(library: Library, *clips: Path) -> Case:
    assets = tuple(describe_asset(path, uuid.uuid4().hex) for path in clips)
    return library.writer.create_case("Recording", "unknown", assets).result()


def cards(library: Library) -> list[ModelCard]:
    return [find_model(name, library.folder) for name in ("tools", "phases")]


def job(library: Library, case: Case, *, threads: int = 1, every: int = 1) -> AnalysisJob:
    return AnalysisJob(library, case, cards(library), device=CPU, threads=threads, every=every)


def stored(library: Library, case: Case, run_id: int) -> tuple[FramePrediction, ...]:
    return library.predictions(case.case_id).frames(run_id, -(2**62), 2**62)


class After:
    """Answers true from the n-th frame on; before the first, both networks' turns were asked."""

    def __init__(self, frames: int) -> None:
        self.left = frames + 2

    def __call__(self) -> bool:
        self.left -= 1
        return self.left < 0


def test_every_frame_is_stored_with_tracks_and_every_second_with_phases(
    library: Library, clip: Path
) -> None:
    case = new_case(library, clip)
    said: list[Progress] = []
    result = job(library, case).run(said.append)
    masks, phases = library.predictions(case.case_id).runs()
    frames = stored(library, case, masks.run_id)
    assert [f.index for f in frames] == list(range(FRAMES))
    assert result.instances == sum(len(f.instances) for f in frames) > FRAMES
    assert all(i.track is not None for f in frames for i in f.instances)
    assert all(f.computed_ms > 0 for f in frames)
    seconds = library.predictions(case.case_id).phases(phases.run_id)
    assert [p.index for p in seconds] == [0, 10, 20, 30]
    assert all(sum(p.probabilities) == pytest.approx(1) for p in seconds)
    assert masks.finished
    assert phases.finished
    assert (said[0].done, said[-1].done, said[-1].total) == (0, FRAMES, FRAMES)
    assert [p.done for p in said] == sorted(p.done for p in said)


def test_the_result_prints_what_the_command_promises(library: Library, clip: Path) -> None:
    printed = job(library, new_case(library, clip)).run().as_json()
    assert (printed["case"], printed["frames"], printed["device"]) == ("0001", FRAMES, "cpu")
    by_name = {m["name"]: m for m in printed["models"]}
    assert (by_name["tools"]["frames"], by_name["phases"]["frames"]) == (FRAMES, 4)
    for model in printed["models"]:
        assert model["computed"] + model["resumed"] == model["frames"]
        assert model["ms_per_frame"] > 0
    assert by_name["phases"]["task"] == "phase-recognition"


@pytest.mark.parametrize(("cut", "threads"), [(1, 1), (7, 3), (25, 3)])
def test_a_cancelled_analysis_goes_on_as_if_nothing_had_happened(
    library: Library, clip: Path, cut: int, threads: int
) -> None:
    whole, parts = new_case(library, clip), new_case(library, clip)
    job(library, whole).run()
    first = job(library, parts, threads=threads).run(should_cancel=After(cut))
    run = library.predictions(parts.case_id).runs()[0]
    before = stored(library, parts, run.run_id)
    assert first.cancelled
    assert len(before) == first.models[0].computed == cut
    second = job(library, parts, threads=threads).run()
    assert not second.cancelled
    assert [(m.computed, m.resumed) for m in second.models] == [
        (FRAMES - cut, cut),
        (4 - (cut + 9) // 10, (cut + 9) // 10),
    ]
    assert all(m.replayed == 0 for m in second.models), "a cancelled stream keeps its state"
    runs = library.predictions(parts.case_id).runs()
    assert len(runs) == 2
    after = stored(library, parts, run.run_id)
    assert [f.computed_ms for f in after[:cut]] == [f.computed_ms for f in before]
    expected = stored(library, whole, library.predictions(whole.case_id).runs()[0].run_id)
    assert [tracks(f) for f in after] == [tracks(f) for f in expected]
    assert second.instances == sum(len(f.instances) for f in expected)
    got, reference = (
        library.predictions(c.case_id).phases(library.predictions(c.case_id).runs()[1].run_id)
        for c in (parts, whole)
    )
    for a, b in zip(got, reference, strict=True):
        assert a.probabilities == pytest.approx(b.probabilities, abs=1e-6)


def test_an_analysis_is_cancelled_while_its_recording_is_indexed(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = new_case(library, make_clip(tmp_path / "clip.ts", RECIPES["h264-ts"]))
    monkeypatch.setattr(opening, "_known", opening._KnownFiles())
    monkeypatch.setattr(indexing, "_CHECK_EVERY", 8)
    begun, whole = threading.Event(), threading.Event()
    read = indexing.read_packets

    def held(*args: object, **options: object) -> Iterator[object]:
        for number, packet in enumerate(read(*args, **options)):
            if number == 40:
                begun.set()
                time.sleep(0.5)  # long enough to be asked whether it goes on
            yield packet
        whole.set()

    monkeypatch.setattr(indexing, "read_packets", held)
    result = job(library, case).run(should_cancel=begun.is_set)
    assert result.cancelled
    assert not whole.is_set(), "it waited for the whole index"
    assert library.predictions(case.case_id).runs() == ()


def test_an_analysis_cancelled_while_a_network_loads_does_not_load_the_next(
    library: Library, clip: Path
) -> None:
    case = new_case(library, clip)
    first = job(library, case).run(should_cancel=After(-1))
    assert first.cancelled
    assert [r.model for r in library.predictions(case.case_id).runs()] == ["tools"]
    assert [m.computed for m in job(library, case).run().models] == [FRAMES, 4]


def tracks(frame: FramePrediction) -> list[tuple[str, int | None]]:
    return [(i.label, i.track) for i in frame.instances]


def test_what_is_stored_needs_no_network(library: Library, clip: Path) -> None:
    case = new_case(library, clip)
    first = job(library, case).run()
    found = cards(library)
    for card in found:
        assert card.weights_path is not None
        card.weights_path.unlink()
    second = AnalysisJob(library, case, found).run()
    assert [(m.computed, m.resumed) for m in second.models] == [(0, FRAMES), (0, 4)]
    assert second.instances == first.instances
    assert second.device == "cpu"


def test_what_is_on_screen_goes_first_and_is_computed_once(library: Library, clip: Path) -> None:
    case = new_case(library, clip)
    with open_video(clip) as source:
        on_screen, again = source.frame(30), source.frame(2)
    analysis = job(library, case)
    analysis.look_at(on_screen)
    seen: list[int] = []

    def watch(progress: Progress) -> None:
        runs = library.predictions(case.case_id).runs()
        if runs and not seen:
            seen.extend(f.index for f in stored(library, case, runs[0].run_id))
        if progress.done > 5:
            analysis.look_at(again)

    result = analysis.run(watch)
    assert seen == [30]
    assert result.models[0].computed == FRAMES
    run = library.predictions(case.case_id).runs()[0]
    frames = stored(library, case, run.run_id)
    assert len(frames) == FRAMES
    assert all(i.track is not None for f in frames for i in f.instances)
    assert result.instances == sum(len(f.instances) for f in frames)


def test_a_crash_after_looking_ahead_loses_nothing(library: Library, clip: Path) -> None:
    case = new_case(library, clip)
    with open_video(clip) as source:
        on_screen = source.frame(30)
    first = job(library, case)
    first.look_at(on_screen)
    first.run(should_cancel=After(8))
    second = job(library, case).run()
    assert second.models[0].resumed == 9
    assert second.models[0].computed == FRAMES - 9
    run = library.predictions(case.case_id).runs()[0]
    frames = stored(library, case, run.run_id)
    assert all(i.track is not None for f in frames for i in f.instances)


def test_a_pause_stores_everything_and_serves_the_screen(library: Library, clip: Path) -> None:
    case = new_case(library, clip)
    with open_video(clip) as source:
        on_screen = source.frame(33)
    analysis = job(library, case)
    paused: list[Progress] = []
    questions = iter([False] * 5 + [True] * 3)

    def should_pause() -> bool:
        return next(questions, False)

    def watch(progress: Progress) -> None:
        if progress.paused:
            paused.append(progress)
            run = library.predictions(case.case_id).runs()[0]
            assert len(stored(library, case, run.run_id)) == 5
            analysis.look_at(on_screen)

    result = analysis.run(watch, should_pause)
    assert len(paused) == 1
    assert result.models[0].computed == FRAMES


def test_frames_that_do_not_decode_count_as_empty(library: Library, tmp_path: Path) -> None:
    clip = damaged_clip(tmp_path / "damaged.avi", (0, 5, 25), frames=30)
    case = new_case(library, clip)
    result = job(library, case).run()
    run, phases = library.predictions(case.case_id).runs()
    frames = stored(library, case, run.run_id)
    assert [f.index for f in frames] == list(range(30))
    assert [f.instances for f in frames if f.index in (0, 5, 25)] == [(), (), ()]
    assert frames[7].instances
    assert result.models[0].computed == 30
    assert len(library.predictions(case.case_id).phases(phases.run_id)) == 2


def test_sampling_and_settings_of_their_own_make_runs_of_their_own(
    library: Library, clip: Path
) -> None:
    case = new_case(library, clip)
    tools = find_model("tools", library.folder)
    sparse = AnalysisJob(library, case, [tools], every=7, device=CPU, threads=1).run()
    assert (sparse.models[0].frames, sparse.models[0].computed) == (6, 6)
    for number, rule in enumerate(({"score": 0.9}, {"class_agnostic": 1.0}), 1):
        bolder = replace(tools, thresholds=tools.thresholds | rule)
        other = AnalysisJob(library, case, [bolder], every=7, device=CPU, threads=1).run()
        assert other.models[0].resumed == 0
        run = library.predictions(case.case_id).runs()[number]
        assert rules_of(bolder) == Rules(
            **{f.name: run.settings[f.name] for f in fields(Rules)}  # type: ignore[arg-type]
        ), "every rule that decides is kept with the run"
    again = AnalysisJob(library, case, [tools], every=7, device=CPU, threads=1).run()
    assert again.models[0].resumed == 6
    assert len(library.predictions(case.case_id).runs()) == 3


def test_a_run_from_before_a_rule_existed_is_still_the_same(library: Library, clip: Path) -> None:
    case = new_case(library, clip)
    tools = find_model("tools", library.folder)
    AnalysisJob(library, case, [tools], every=10, device=CPU, threads=1).run()
    file = library.folder / "predictions" / f"{case.case_id}.sqlite"
    with closing(sqlite3.connect(file)) as conn, conn:
        conn.execute("UPDATE runs SET settings = json_remove(settings, '$.max_candidates')")
    again = AnalysisJob(library, case, [tools], every=10, device=CPU, threads=1).run()
    assert (again.models[0].computed, again.models[0].resumed) == (0, 4)


def test_all_recordings_of_a_case_are_analysed(library: Library, clip: Path) -> None:
    case = new_case(library, clip, clip)
    said: list[Progress] = []
    result = job(library, case, every=10).run(said.append)
    assert (result.frames, result.models[0].frames, result.models[1].frames) == (80, 8, 8)
    assert {p.asset_id for p in said} == {a.asset_id for a in case.assets}
    assert said[-1].done == said[-1].total
    second = job(library, case, every=10).run()
    assert [(m.computed, m.resumed) for m in second.models] == [(0, 8), (0, 8)]


@pytest.mark.parametrize("of", [None, 0, 1])
def test_a_frame_on_screen_is_never_taken_for_one_of_another_recording(
    library: Library, clip: Path, tmp_path: Path, of: int | None
) -> None:
    """What is on screen is a negative, so that one can tell which picture was looked at."""
    other = make_clip(tmp_path / "other.mp4", replace(RECIPES["h264-mp4"], frames=FRAMES, rate=10))
    case = new_case(library, clip, other)
    with open_video(clip) as source:
        frame = source.frame(30)
    frame = replace(frame, rgb=255 - frame.rgb)
    assets = [a.asset_id for a in case.assets]
    tools = find_model("tools", library.folder)
    job = AnalysisJob(library, case, [tools], every=10, device=CPU, threads=1)
    asked: list[str] = []

    def watch(progress: Progress) -> None:
        if progress.asset_id == assets[1] and not asked:
            asked.append(progress.asset_id)
            job.look_at(frame, None if of is None else assets[of])

    job.run(watch)
    alone = new_case(library, other)
    AnalysisJob(library, alone, [tools], every=10, device=CPU, threads=1).run()
    got, expected = (
        library.predictions(c.case_id).frame(
            library.predictions(c.case_id).runs(a)[0].run_id, frame.pts
        )
        for c, a in ((case, assets[1]), (alone, alone.assets[0].asset_id))
    )
    assert asked
    assert got is not None
    assert expected is not None
    as_recorded = [i.mask for i in got.instances] == [i.mask for i in expected.instances]
    assert as_recorded == (of != 1)


def test_a_card_that_fails_one_model_alone_is_said_to_have_failed(
    library: Library, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The phase model's device stays as it is; the report must not change to and fro."""
    case = new_case(library, clip)
    card = DeviceChoice(device="meta", name="Card", reason="found", memory_mb=1)
    monkeypatch.setattr(PhasePass, "device", lambda _self: card)
    said: list[Progress] = []
    analysis = AnalysisJob(library, case, cards(library), device=card, threads=1)
    result = analysis.run(said.append)
    devices = [p.device.device for p in said if p.device is not None]
    assert devices == sorted(devices, reverse=True), "from the card to the processor, once"
    assert result.device == "cpu"


def test_a_failing_card_is_left_for_the_processor(library: Library, clip: Path) -> None:
    broken = DeviceChoice(device="meta", name="Broken card", reason="chosen", memory_mb=1)
    case = new_case(library, clip)
    result = AnalysisJob(library, case, cards(library), every=10, device=broken, threads=1).run()
    assert result.device == "cpu"
    assert "Broken card stopped working" in result.device_reason
    assert [m.computed for m in result.models] == [4, 4]


def test_a_damaged_row_is_computed_again_and_no_other(library: Library, clip: Path) -> None:
    case = new_case(library, clip)
    job(library, case).run()
    run = library.predictions(case.case_id).runs()[0]
    before = stored(library, case, run.run_id)
    file = library.folder / "predictions" / f"{case.case_id}.sqlite"
    with closing(sqlite3.connect(file)) as conn, conn:
        conn.execute("UPDATE frames SET payload = substr(payload, 2) WHERE frame_index = 11")
    result = job(library, case).run()
    assert [(m.computed, m.resumed) for m in result.models] == [(1, FRAMES - 1), (0, 4)]
    after = stored(library, case, run.run_id)
    assert [[i.label for i in f.instances] for f in after] == [
        [i.label for i in f.instances] for f in before
    ]


def test_another_file_at_the_same_place_is_refused(
    library: Library, clip: Path, tmp_path: Path
) -> None:
    path = tmp_path / "recording.mp4"
    path.write_bytes(clip.read_bytes())
    case = new_case(library, path)
    make_clip(path, replace(RECIPES["h264-mp4"], frames=12))
    with pytest.raises(BadInput, match=r"recording\.mp4 is not the recording"):
        job(library, case).run()


def test_impossible_jobs_are_refused(library: Library, clip: Path) -> None:
    case = new_case(library, clip)
    with pytest.raises(BadInput, match="No model"):
        AnalysisJob(library, case, [])
    with pytest.raises(BadInput, match="Every how many"):
        AnalysisJob(library, case, cards(library), every=0)
    with pytest.raises(BadInput, match="no recording"):
        AnalysisJob(library, replace(case, assets=()), cards(library))
    other = replace(cards(library)[0], task="enhancement")
    with pytest.raises(BadInput, match="enhancement"):
        AnalysisJob(library, case, [other])


def analyse_in_a_process(folder: Path, clip: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "app", "analyze", str(clip), "--json", "--threads", "1"]
    command += ["--library", str(folder), "--model", "tools", "--model", "phases", *more]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def frames_in_store(folder: Path) -> int:
    file = folder / "predictions" / "0001.sqlite"
    if not file.exists():
        return 0
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as conn:
        try:
            return int(conn.execute("SELECT count(*) FROM frames").fetchone()[0])
        except sqlite3.OperationalError:
            return 0


def kill_and_finish(folder: Path, clip: Path, frames: int, kill_at: list[int], *more: str) -> None:
    """Kill with -9 whenever so many frames are stored; then finish and count."""
    kept = 0
    for goal in kill_at:
        process = analyse_in_a_process(folder, clip, *more)
        deadline = time.monotonic() + 240
        while frames_in_store(folder) < goal and process.poll() is None:
            assert time.monotonic() < deadline, "the analysis does not get on"
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "it had ended before"
        assert frames_in_store(folder) >= max(goal, kept), "a stored frame was lost"
        kept = frames_in_store(folder)
    process = analyse_in_a_process(folder, clip, *more)
    out, _ = process.communicate(timeout=280)
    assert process.returncode == 0
    result = json.loads(out)
    by_name = {m["name"]: m for m in result["models"]}
    assert by_name["tools"]["resumed"] == kept
    assert by_name["tools"]["computed"] == frames - kept
    seconds = by_name["phases"]
    assert seconds["computed"] + seconds["resumed"] == seconds["frames"]
    with Library.open(folder, "read") as library:
        runs = {r.model: r for r in library.predictions("0001").runs()}
        run, phases = runs["tools"], runs["phases"]
        assert len(library.predictions("0001").stored_pts(run.run_id, verify=True)) == frames
        assert run.finished
        assert phases.finished


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL on Windows")
def test_a_killed_analysis_resumes_at_the_first_frame_not_stored(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", replace(RECIPES["h264-mp4"], frames=150, rate=10))
    save_instruments(tmp_path / "library" / "models")
    save_phases(tmp_path / "library" / "models")
    kill_and_finish(tmp_path / "library", clip, 150, [30])


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL on Windows")
def test_a_real_clip_survives_five_kills(tmp_path: Path, real_clip: Path) -> None:
    save_instruments(tmp_path / "library" / "models")
    save_phases(tmp_path / "library" / "models")
    kill_and_finish(tmp_path / "library", real_clip, 800, [20, 150, 300, 480, 700])
