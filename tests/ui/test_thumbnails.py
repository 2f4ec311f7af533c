"""Small pictures of the recording: made in the background, kept, bounded, given up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtGui import QImage
from pytestqt.qtbot import QtBot

from app.ui import strip as strips
from app.ui.main_window import MainWindow
from app.ui.strip import Strip, read_strip, wanted_frames, write_strip
from app.ui.thumbnails import Thumbnails, strip_key
from app.ui.timeline.geometry import Kind, lay_out
from app.video import OpenCancelled, open_video
from tests.helpers.clips import number_of

PATIENCE_MS = 10_000


def pixels(image: QImage) -> np.ndarray:
    """The pixels of an image, RGB."""
    made = image.convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(made.constBits(), np.uint8).reshape(made.height(), -1)
    return rows[:, : made.width() * 3].reshape(made.height(), made.width(), 3)


@pytest.mark.parametrize(
    ("keys", "frames", "most"), [(1, 60, 160), (4, 60, 160), (900, 90_000, 160), (7, 500, 3)]
)
def test_keyframes_are_spread_over_the_recording_coarse_ones_first(
    keys: int, frames: int, most: int
) -> None:
    places = np.linspace(0, frames - 10, keys).astype(np.int64)
    wanted = wanted_frames(places, frames, most)
    assert len(wanted) == len(set(wanted)) <= most
    assert set(wanted) <= set(places.tolist())
    assert len(wanted) >= min(keys, most) * 0.6
    if keys > 100:
        gaps = np.diff(sorted(wanted[: len(wanted) // 4]))
        assert gaps.max() < frames / 10
    assert wanted_frames(np.array([], np.int64), 60) == [0]


def test_the_strip_is_that_of_the_keyframes_and_kept(opened: MainWindow, qtbot: QtBot) -> None:
    thumbnails, session = opened.services.thumbnails, opened.services.session
    qtbot.waitUntil(lambda: thumbnails.strip.complete, timeout=PATIENCE_MS)
    strip = thumbnails.strip
    assert strip.ms == (0.0, 600.0, 1200.0, 1800.0)
    assert session.asset is not None
    with open_video(session.asset.path) as source:
        for ms, picture in zip(strip.ms, strip.pictures, strict=True):
            whole = source.frame_at(ms / 1000).rgb
            assert number_of(whole) == round(ms / 40)
            assert (picture.width(), picture.height()) == (128, 72)
            assert np.abs(pixels(picture).mean((0, 1)) - whole.mean((0, 1))).max() < 2
    folder = opened.services.library.cache_folder
    (kept,) = folder.glob("strip1-*")
    again = Thumbnails(folder, writable=False)
    again._open = None  # type: ignore[assignment, method-assign] - nothing may be decoded
    with qtbot.waitSignal(again.grew, timeout=PATIENCE_MS):
        again.show(session.asset)
    qtbot.waitUntil(lambda: again.strip.complete, timeout=PATIENCE_MS)
    assert again.strip.ms == strip.ms
    for one, other in zip(again.strip.pictures, strip.pictures, strict=True):
        assert np.abs(pixels(one).astype(int) - pixels(other)).mean() < 6
    again.close()
    kept.write_bytes(kept.read_bytes()[:200])
    assert read_strip(folder, kept.stem.removeprefix("strip1-")) is None


def test_another_stream_of_the_file_has_another_strip(opened: MainWindow) -> None:
    asset = opened.services.session.asset
    assert asset is not None
    assert strip_key(asset) != strip_key(replace(asset, stream=asset.stream + 1))
    assert strip_key(asset) == strip_key(replace(asset, path="/elsewhere/a.mp4"))


def test_a_case_that_is_closed_gives_its_strip_up(opened: MainWindow, qtbot: QtBot) -> None:
    thumbnails = opened.services.thumbnails
    asset = opened.services.session.asset
    assert asset is not None
    grown: list[int] = []
    thumbnails.grew.connect(lambda: grown.append(len(thumbnails.strip.pictures)))
    opened.services.session.close()
    assert thumbnails.strip == Strip()
    qtbot.wait(150)
    assert grown == [0]
    thumbnails.show(asset)
    qtbot.waitUntil(lambda: thumbnails.strip.complete, timeout=PATIENCE_MS)


def test_no_more_is_kept_than_there_is_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = QImage(64, 36, QImage.Format.Format_RGB888)
    picture.fill(0x336699)
    strip = Strip(ms=(0.0, 40.0), pictures=(picture, picture), complete=True)
    write_strip(tmp_path, "first", strip)
    size = next(tmp_path.iterdir()).stat().st_size
    monkeypatch.setattr(strips, "KEPT_BYTES", 3 * size)
    for place in range(6):
        write_strip(tmp_path, f"case-{place}", strip)
    left = sorted(p.name for p in tmp_path.iterdir())
    assert len(left) == 3
    assert "strip1-case-5.npz" in left
    read = read_strip(tmp_path, "case-5")
    assert read is not None
    assert read.ms == (0.0, 40.0)


def test_what_is_hovered_over_has_a_picture_at_once(opened: MainWindow, qtbot: QtBot) -> None:
    thumbnails, ribbon = opened.services.thumbnails, opened.review.ribbon
    qtbot.waitUntil(lambda: thumbnails.strip.complete, timeout=PATIENCE_MS)
    card = opened.review.card
    ribbon.hovered.emit(1210.0, 700.0)
    assert not card.image.isNull()
    close_by = card.image
    qtbot.waitUntil(lambda: card.image.cacheKey() != close_by.cacheKey(), timeout=PATIENCE_MS)


def test_the_row_of_pictures_folds_and_goes_first(opened: MainWindow, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: opened.services.thumbnails.strip.complete, timeout=PATIENCE_MS)
    opened.show_workspace("annotate")
    assert opened.annotate is not None
    timeline = opened.annotate.timeline
    row = timeline._row(Kind.PICTURES)
    assert row is not None
    middle = round(row.top_px + row.height_px / 2)
    picture = timeline.grab().toImage()
    seen = {picture.pixel(x, middle) for x in range(200, timeline.width() - 40, 5)}
    assert len(seen) > 20
    timeline.fold(Kind.PICTURES, folded=True)
    folded = timeline._row(Kind.PICTURES)
    assert folded is not None
    assert folded.height_px < row.height_px / 2
    names = ("grasper", "hook", "clipper")
    kinds = [
        [r.kind for r in lay_out(names, (), 1.0, high, outlines=False, pictures=True)]
        for high in (330, 200)
    ]
    assert Kind.PICTURES in kinds[0]
    assert Kind.PICTURES not in kinds[1]
    assert kinds[1].count(Kind.INSTRUMENT) == 3


def test_closing_does_not_wait_for_a_recording_that_is_being_indexed(
    opened: MainWindow, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset = opened.services.session.asset
    assert asset is not None
    began, ended = threading.Event(), threading.Event()

    def slow(*_: object, cancelled: Callable[[], bool], **__: object) -> None:
        began.set()
        while not cancelled():
            time.sleep(0.01)
        ended.set()
        raise OpenCancelled

    monkeypatch.setattr("app.video.open_recording", slow)
    thumbnails = Thumbnails(tmp_path / "cache", writable=True)
    thumbnails.show(asset)
    assert began.wait(10)
    thumbnails.show(None)  # another case, or none: the next one is not kept waiting
    assert ended.wait(10)
    began.clear()
    thumbnails.show(asset)
    assert began.wait(10)
    thumbnails.close()
    assert thumbnails.strip == Strip()
