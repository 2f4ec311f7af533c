"""Phantom videos: the same by seed, tracks, presence and masks that agree with the pictures."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from app.learning.phantom import PHASES, TOOLS, PhantomVideo, ProcedureStream, write_procedure
from app.learning.phantom.script import Procedure, Span
from app.learning.phantom.truth import TruthWriter

SIZE_PX = (160, 90)


def _script(*tools: Span, away: tuple[Span, ...] = ()) -> Procedure:
    phases = (
        Span(name="calot_triangle_dissection", start_s=0, end_s=20),
        Span(name="clipping_cutting", start_s=20, end_s=40),
    )
    return Procedure(phases=phases, tools=tools, away=away)


def _video(procedure: Procedure, seed: int = 5, **kwargs) -> PhantomVideo:
    return PhantomVideo(seed, size_px=SIZE_PX, procedure=procedure, **kwargs)


def test_frames_depend_on_the_seed_alone() -> None:
    first, second, other = (
        [f.rgb.tobytes() for f in PhantomVideo(s, fps=5, size_px=SIZE_PX, start_s=60, seconds=1.2)]
        for s in (3, 3, 4)
    )
    assert len(first) == 6
    assert first == second
    assert all(a != b for a, b in zip(first, other, strict=True))


def test_a_second_pass_shows_the_same_operation() -> None:
    hook = Span(name="hook", start_s=1, end_s=19)
    video = _video(_script(hook), fps=1, seconds=12)
    first, second = ([f.rgb.tobytes() for f in video] for _ in range(2))
    assert first == second


def test_a_tool_keeps_its_track_and_moves_smoothly() -> None:
    grasper = Span(name="grasper", start_s=2, end_s=9)
    frames = list(_video(_script(grasper), fps=10, start_s=3.0, seconds=3))
    tracks = {i.track for f in frames for i in f.instances}
    assert len(tracks) == 1
    centres = [np.argwhere(f.instances[0].mask).mean(0) for f in frames]
    steps = np.hypot(*np.diff(centres, axis=0).T)
    assert steps.max() < 0.05 * SIZE_PX[0]
    assert steps.sum() > 1.0


def test_tools_come_and_go_as_scripted() -> None:
    hook = Span(name="hook", start_s=3, end_s=6)
    again = Span(name="hook", start_s=8, end_s=12)
    frames = list(_video(_script(hook, again), fps=1, seconds=14))
    shown = [bool(f.presence[TOOLS.index("hook")]) for f in frames]
    wanted = [3 <= i < 6 or 8 <= i < 12 for i in range(14)]
    # Coming in and going out take a moment, in which little may show.
    apart = [i for i in range(14) if shown[i] != wanted[i]]
    assert all(i in (3, 5, 8, 11) for i in apart)
    assert len({i.track for f in frames for i in f.instances}) == 2


def test_presence_agrees_with_the_masks_and_masks_with_the_picture() -> None:
    tools = (
        Span(name="grasper", start_s=0, end_s=20),
        Span(name="irrigator", start_s=0, end_s=20),
        Span(name="specimen_bag", start_s=0, end_s=20),
    )
    with_tools = list(_video(_script(*tools), fps=1, start_s=4, seconds=6))
    without = list(_video(_script(), fps=1, start_s=4, seconds=6))
    for frame, bare in zip(with_tools, without, strict=True):
        keys = [i.key for i in frame.instances]
        assert keys
        assert frame.presence.tolist() == [t in keys for t in TOOLS]
        assert not bare.instances
        assert not bare.presence.any()
        covered = np.logical_or.reduce([i.mask for i in frame.instances])
        change = np.abs(frame.rgb.astype(int) - bare.rgb).mean(axis=2)
        near = cv2.dilate(covered.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
        assert change[covered].mean() > 3 * change[~near].mean()


def test_an_instrument_reaches_the_rim_of_the_view() -> None:
    tools = (Span(name="clipper", start_s=0, end_s=20),)
    for seed in (1, 2, 3, 4):
        frame = next(iter(_video(_script(*tools), seed=seed, fps=1, start_s=6, seconds=1)))
        mask = frame.instances[0].mask
        dark = (frame.rgb.max(axis=2) < 24).astype(np.uint8)
        dark[[0, -1]] = 1
        dark[:, [0, -1]] = 1
        assert (mask & (cv2.dilate(dark, np.ones((5, 5), np.uint8)) > 0)).any()


def test_out_of_body_shows_no_instrument() -> None:
    away = (Span(name="out_of_body", start_s=4, end_s=12),)
    grasper = Span(name="grasper", start_s=0, end_s=20)
    frames = list(_video(_script(grasper, away=away), fps=1, seconds=14))
    assert [f.away for f in frames] == [4 <= i < 12 for i in range(14)]
    assert not any(f.instances for f in frames if f.away)
    assert frames[0].instances


def test_phases_of_a_whole_operation_at_one_frame_a_second() -> None:
    script = replace(write_procedure(2), phases=_shortened(2), tools=(), away=())
    stream = ProcedureStream(2, (64, 64))
    stream.video = PhantomVideo(2, fps=1, size_px=(114, 64), procedure=script)
    frames = list(stream)
    assert len(frames) == len(stream) == script.seconds
    assert [PHASES[phase] for _, phase, _ in frames] == [
        script.phase_at(second) for second in range(script.seconds)
    ]
    assert all(rgb.shape == (64, 64, 3) and rgb.dtype == np.uint8 for rgb, _, _ in frames)


def _shortened(seed: int) -> tuple[Span, ...]:
    spans, now = [], 0
    for span in write_procedure(seed).phases:
        spans.append(Span(name=span.name, start_s=now, end_s=now + 4))
        now += 4
    return tuple(spans)


def test_the_stream_is_the_seeds_own_operation() -> None:
    stream = ProcedureStream(11)
    assert stream.procedure == write_procedure(11)
    rgb, phase, presence = next(iter(stream))
    assert rgb.shape == (112, 112, 3)
    assert PHASES[phase] == stream.procedure.phase_at(0)
    assert presence.shape == (len(TOOLS),)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_truth_file_says_what_the_frames_said(tmp_path: Path) -> None:
    from pycocotools import mask as coco

    grasper = Span(name="grasper", start_s=0, end_s=30)
    video = _video(_script(grasper), fps=2, start_s=18, seconds=4)
    writer = TruthWriter(2, SIZE_PX, 5)
    frames = list(writer.watch(video))
    truth = json.loads(writer.write(tmp_path).read_text(encoding="utf-8"))
    assert truth["frames"] == 8
    assert truth["phases"] == [
        {"phase": "calot_triangle_dissection", "first_frame": 0, "last_frame": 3},
        {"phase": "clipping_cutting", "first_frame": 4, "last_frame": 7},
    ]
    assert [s["frame"] for s in truth["seconds"]] == [0, 2, 4, 6]
    for second in truth["seconds"]:
        frame = frames[second["frame"]]
        assert second["presence"] == ["grasper"]
        (kept,) = second["instances"]
        (drawn,) = frame.instances
        assert (kept["key"], kept["track"]) == (drawn.key, drawn.track)
        assert np.array_equal(coco.decode(kept["rle"]).astype(bool), drawn.mask)


@pytest.mark.long
def test_a_whole_operation_streams_to_its_end() -> None:
    stream = ProcedureStream(21)
    phases = [phase for _, phase, _ in stream]
    assert [PHASES[p] for p in phases] == [
        stream.procedure.phase_at(s) for s in range(stream.procedure.seconds)
    ]
