"""The torture set: each index of each file shows the frame that carries that number, always."""

from __future__ import annotations

import contextlib
import json
import random
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from app.cli.main import run
from app.cli.probe import description
from app.core.errors import BadInput, TrocarError
from app.video import Player, PlayerState, ShownFrame, VideoSource, open_video
from app.video.deinterlace import Deinterlacer, is_top_field_first
from app.video.raster import Rasteriser
from tests.helpers.clips import damaged_clip, number_of, picture
from tests.helpers.torture import CASES, FRAMES, Case, NotHere
from tests.video.test_damage import look_through, mutated

Torture = Callable[[str], Path]


@pytest.fixture(scope="session")
def torture(tmp_path_factory: pytest.TempPathFactory) -> Torture:
    """The file of a case by its name."""
    folder = tmp_path_factory.mktemp("torture")

    def get(name: str) -> Path:
        path = folder / name
        if not path.exists():
            try:
                CASES[name].make(path)
            except (NotHere, av.codec.codec.UnknownCodecError) as error:
                pytest.skip(str(error))
        return path

    return get


def opened(path: Path, case: Case, cache_bytes: int = 64 << 20) -> VideoSource:
    return open_video(path, trusted=True, stream=case.stream, cache_bytes=cache_bytes)


def carried(source: VideoSource, case: Case, index: int) -> int:
    """The number that a frame carries, -1 for none."""
    try:
        return number_of(np.rot90(source.frame(index).rgb, case.turn))
    except ValueError:
        return -1


@pytest.mark.parametrize("name", list(CASES))
def test_every_index_shows_its_frame(torture: Torture, name: str) -> None:
    case, path = CASES[name], torture(name)
    numbers = case.numbers
    last = len(numbers) - 1
    draw = random.Random(name)
    walks = {
        "forward": list(range(last + 1)),
        "backward": list(range(last, -1, -1)),
        "random": [last, 0, last, *(draw.randint(0, last) for _ in range(12))],
    }
    with opened(path, case) as source:
        assert len(source) == len(numbers)
    for way, walk in walks.items():
        # Too little for the whole file: stepping back crosses what was let go.
        with opened(path, case, 2 << 20) as source:
            wrong = [i for i in walk if carried(source, case, i) != numbers[i]]
        assert wrong == [], way


@pytest.mark.parametrize("name", list(CASES))
def test_a_glimpse_names_its_frame_and_changes_none(torture: Torture, name: str) -> None:
    case = CASES[name]
    draw = random.Random(name)
    with opened(torture(name), case, 2 << 20) as source:
        for target in (draw.randrange(len(source)) for _ in range(10)):
            near = source.glimpse(target)
            if near is not None:
                shown = number_of(np.rot90(near.rgb, case.turn))
                assert shown == case.numbers[near.index], target
            assert carried(source, case, target) == case.numbers[target]
            source.read_ahead(target, draw.choice((-1, 0)))


def test_enough_kinds_are_in_it() -> None:
    assert len(CASES) >= 48
    assert len({Path(name).suffix for name in CASES}) >= 15


@pytest.mark.parametrize("name", [n for n, case in CASES.items() if case.oddities])
def test_probe_names_what_is_odd(torture: Torture, name: str) -> None:
    case = CASES[name]
    with opened(torture(name), case) as source:
        found = description(source)
    assert found["frames"] == len(case.numbers)
    for words in case.oddities:
        assert any(words in sentence for sentence in found["problems"]), (words, found["problems"])


def test_probe_verifies_a_stream(torture: Torture, capsys: pytest.CaptureFixture[str]) -> None:
    path = torture("two-cameras.ts")
    assert run(["probe", str(path), "--stream", "1", "--verify", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["stream"], found["frames"], found["frames_decoded"]) == (1, FRAMES, FRAMES)


def test_what_is_plain_has_no_oddities(torture: Torture) -> None:
    for name in ("mjpeg-422-mov.mov", "hevc-444-10.mkv", "h264-444.mp4", "vp8-webm.webm"):
        with opened(torture(name), CASES[name]) as source:
            assert source.info.problems == (), name


def test_depths_and_chroma_keep_their_colours(torture: Torture) -> None:
    for name, most in (
        ("ffv1-444-12-mkv.mkv", 1),
        ("prores-444-mxf.mxf", 4),
        ("hevc-444-10.mkv", 12),
        ("hevc-12.mp4", 24),
    ):
        with opened(torture(name), CASES[name]) as source:
            error = np.abs(source.frame(7).rgb[50:].astype(int) - picture(7)[50:])
        assert np.median(error) <= most, name


def test_fields_are_made_whole_and_may_be_left(torture: Torture) -> None:
    path = torture("h264-fields-mkv.mkv")
    with open_video(path, trusted=True) as source:
        assert (source.info.is_interlaced, source.info.field_order) == (True, "top")
        whole = [source.frame(i).rgb for i in range(len(source))]
    with open_video(path, trusted=True, deinterlace=False) as source:
        woven = [source.frame(i).rgb for i in range(len(source))]
        assert source.info.is_interlaced
    # The lines of the first field stay, those of the other one are made anew.
    same = np.array([np.abs(w.astype(int) - v)[60:140] for w, v in zip(whole, woven, strict=True)])
    kept, made = same[:, ::2], same[:, 1::2]
    assert kept.mean() < 1 < made.mean()


def test_both_field_orders_are_told_apart(torture: Torture) -> None:
    for name, order in (
        ("h264-fields-mkv.mkv", "top"),
        ("mpeg2-bottom-first-mpg.mpg", "bottom"),
        ("dv-avi.avi", "bottom"),
        ("h264-m2ts.m2ts", ""),
    ):
        with opened(torture(name), CASES[name]) as source:
            assert source.info.field_order == order, name


def test_moving_fields_are_not_combed() -> None:
    """Fields taken 1/50 s apart of a bar that moves: woven it is torn, deinterlaced it is not."""
    edges = [40 + 6 * moment for moment in range(48)]

    def field(moment: int) -> NDArray[np.uint8]:
        grey = np.zeros((96, 360), np.uint8)
        grey[:, edges[moment] : edges[moment] + 40] = 255
        return grey

    frames = []
    for number in range(24):
        woven = field(2 * number)
        woven[1::2] = field(2 * number + 1)[1::2]
        frame = av.VideoFrame.from_ndarray(woven, "gray").reformat(format="yuv420p")
        frame.pts = number
        frames.append(_marked(frame))
    whole = Deinterlacer(len(frames))
    raster = Rasteriser(deinterlaces=False)

    def tears(frame: av.VideoFrame) -> float:
        grey = raster.rgb(frame)[20:76, :, 0].astype(int)
        return float(np.abs(np.diff(grey, axis=0)).mean())

    assert is_top_field_first(frames[0])
    played = [whole.picture(i, frames.__getitem__) for i in range(24)]
    assert np.mean([tears(f) for f in played[2:-2]]) < 0.3 * np.mean([tears(f) for f in frames])
    assert all(f.interlaced_frame == 0 for f in played)
    jumped = Deinterlacer(len(frames))
    for index in (17, 3, 0, 23, 4, 5, 4):
        again = raster.rgb(jumped.picture(index, frames.__getitem__))
        assert np.array_equal(again, raster.rgb(played[index])), index


def _marked(frame: av.VideoFrame) -> av.VideoFrame:
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 25)
    )
    mark = graph.add("setfield", "tff")
    source.link_to(mark)
    mark.link_to(graph.add("buffersink"))
    graph.configure()
    graph.vpush(frame)
    return graph.vpull()


def test_a_change_of_size_is_recorded(torture: Torture) -> None:
    with opened(torture("size-change.ts"), CASES["size-change.ts"]) as source:
        sizes = [(r.first_pts, r.width_px, r.height_px) for r in source.info.rasters]
        assert sizes == [(source.pts(0), 320, 180), (source.pts(20), 400, 240)]
        assert source.frame(19).rgb.shape == (180, 320, 3)
        assert source.frame(20).rgb.shape == (240, 400, 3)


def test_missing_time_is_known(torture: Torture) -> None:
    with opened(torture("missing-time.mkv"), CASES["missing-time.mkv"]) as source:
        assert source.info.gaps == ((1000, 9000),)
    with opened(torture("h264-flv.flv"), CASES["h264-flv.flv"]) as source:
        assert source.info.gaps == ()


def test_pixels_that_are_not_square_stay_stored_pixels(torture: Torture) -> None:
    with opened(torture("wide-pixels.mp4"), CASES["wide-pixels.mp4"]) as source:
        assert source.info.pixel_aspect == Fraction(64, 45)
        assert source.frame(0).rgb.shape == (180, 320, 3)


def test_a_stream_that_is_not_there(torture: Torture) -> None:
    with pytest.raises(BadInput, match="no video stream 7; it has 0, 1"):
        open_video(torture("two-cameras.mkv"), trusted=True, stream=7)


def test_streams_are_listed(torture: Torture, capsys: pytest.CaptureFixture[str]) -> None:
    path = torture("two-cameras.mkv")
    assert run(["probe", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(s["index"], s["width"], s["height"]) for s in found["streams"]] == [
        (0, 320, 180),
        (1, 320, 180),
    ]
    out = path.with_suffix(".png")
    command = ["frame", str(path), "--stream", "1", "--index", "9", "--out", str(out), "--json"]
    assert run(command) == 0
    capsys.readouterr()
    assert number_of(cv2.imread(str(out))[..., ::-1]) == 1009


def test_a_player_shows_fields_woven_on_request(torture: Torture) -> None:
    shown: list[ShownFrame] = []
    arrived = threading.Event()

    def keep(frame: ShownFrame) -> None:
        shown.append(frame)
        arrived.set()

    path = torture("h264-fields-mkv.mkv")
    with open_video(path, trusted=True) as source:
        whole = source.frame(7).rgb
        source.set_deinterlacing(on=False)
        woven = source.frame(7).rgb
    assert not np.array_equal(whole, woven)
    player = Player(on_frame=keep, open_source=partial(open_video, trusted=True))
    try:
        player.open(path)
        for act, expected in (
            (lambda: player.seek_index(7), whole),
            (lambda: player.set_deinterlacing(on=False), woven),
            (lambda: player.set_deinterlacing(on=True), whole),
        ):
            assert arrived.wait(10)
            arrived.clear()
            act()
            wait_until(lambda e=expected: np.array_equal(shown[-1].frame.rgb, e))
    finally:
        player.close()


def test_a_player_remembers_what_does_not_decode(tmp_path: Path) -> None:
    path = damaged_clip(tmp_path / "damaged.avi", [10, 11])
    states: list[PlayerState] = []
    player = Player(
        on_frame=lambda _frame: None,
        on_state=states.append,
        open_source=partial(open_video, trusted=True),
    )
    try:
        player.open(path)
        wait_until(lambda: player.state.info is not None and player.state.shown > 0)
        for index in (11, 10):
            player.seek_index(index)
            wait_until(lambda i=index: i in player.state.lost)
        wait_until(lambda: bool(states) and states[-1].lost == {10, 11})
    finally:
        player.close()


def wait_until(is_so: Callable[[], bool]) -> None:
    until_s = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < until_s
        time.sleep(0.01)


@pytest.mark.long
@pytest.mark.parametrize("name", list(CASES))
def test_mutated_files_of_every_kind(torture: Torture, tmp_path: Path, name: str) -> None:
    data = torture(name).read_bytes()
    for seed in range(20):
        draw = random.Random(f"{name} {seed}")
        path = tmp_path / name
        path.write_bytes(mutated(data, draw))
        start_s = time.monotonic()
        with (
            contextlib.suppress(TrocarError),
            open_video(path, trusted=True, cache_bytes=8 << 20) as source,
        ):
            look_through(source, draw)
        assert time.monotonic() - start_s < 10
