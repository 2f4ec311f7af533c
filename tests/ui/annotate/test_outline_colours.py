"""One object has one colour: in Review's picture and key, on the canvas and in its list."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF
from PySide6.QtGui import QColor, QImage
from PySide6.QtWidgets import QWidget

from app.core.mask import Mask
from app.core.prediction import FramePrediction, Instance
from app.ui import theme
from tests.ui.annotate.conftest import Desk, square


def shows(widget: QWidget, colour: QColor) -> int:
    """How many pixels of a widget have exactly this colour."""
    image = widget.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
    pixels = np.frombuffer(image.constBits(), np.uint32) & 0xFFFFFF
    return int((pixels == (colour.rgb() & 0xFFFFFF)).sum())


def say(desk: Desk, tracks: tuple[int | None, int | None]) -> None:
    """Replace what the model said about frame 0: a grasper and a hook of these tracks."""
    services = desk.window.services
    case, run, frame = services.session.case, services.session.segment_run, services.session.frame
    assert case is not None
    assert run is not None
    assert frame is not None
    found = (
        Instance(label="grasper", mask=square(40, 60, 50), score=0.6, track=tracks[0]),
        Instance(label="hook", mask=square(180, 90, 40), score=0.9, track=tracks[1]),
    )
    store = services.library.predictions(case.case_id)
    store.put_frames(run.run_id, [FramePrediction(pts=frame.pts, index=0, instances=found)])
    services.overlay.forget(None)
    services.playback.want_overlay()
    desk.qtbot.waitUntil(
        lambda: {s.track for s in desk.annotate.editor.instances} == set(tracks), timeout=10_000
    )


def test_two_outlines_that_would_meet_on_one_colour_do_not(desk: Desk) -> None:
    say(desk, (2, 7))
    lime, cyan = theme.outlines()[:2]
    canvas, editor = desk.annotate.canvas, desk.annotate.editor
    assert [canvas.colour_of(s) for s in editor.instances] == [cyan, lime]
    assert [editor.name_of(s) for s in editor.instances] == ["Grasper", "Hook"]
    assert min(shows(canvas, c) for c in (lime, cyan)) > 100
    assert min(shows(desk.annotate.instances, c) for c in (lime, cyan)) > 5
    desk.window.show_workspace("review")
    stage = desk.window.review.stage
    desk.qtbot.waitUntil(lambda: len(stage.key) == 2, timeout=10_000)
    assert [(r.name, r.colour, r.dashed) for r in stage.key] == [
        ("Grasper", cyan, False),
        ("Hook", lime, False),
    ]
    desk.qtbot.waitUntil(lambda: min(shows(stage, c) for c in (lime, cyan)) > 100, timeout=10_000)


def test_a_selected_outline_leaves_the_others_their_colour(desk: Desk) -> None:
    say(desk, (2, 7))
    canvas, editor = desk.annotate.canvas, desk.annotate.editor
    before = [canvas.colour_of(s) for s in editor.instances]
    lime = theme.outlines()[0]
    editor.select(editor.instances[0])
    assert [canvas.colour_of(s) for s in editor.instances] == before
    assert shows(canvas, lime) > 100


def test_alone_on_the_frame_an_instrument_keeps_the_colour_of_its_number(desk: Desk) -> None:
    say(desk, (7, 9))
    _, cyan, _, violet, _ = theme.outlines()
    canvas, editor = desk.annotate.canvas, desk.annotate.editor
    assert [canvas.colour_of(s) for s in editor.instances] == [cyan, violet]
    editor.select(editor.instances[0])
    editor.reject()
    desk.wait_saved()
    assert [canvas.colour_of(s) for s in editor.instances] == [violet]


def test_drawing_and_answering_recolour_nothing_else(desk: Desk) -> None:
    say(desk, (None, None))
    lime, cyan, magenta = theme.outlines()[:3]
    canvas, editor = desk.annotate.canvas, desk.annotate.editor

    def colours() -> dict[str, QColor]:
        return {s.label: canvas.colour_of(s) for s in editor.instances}

    assert colours() == {"grasper": lime, "hook": cyan}
    editor.label = "scissors"
    editor.draw(square(100, 10, 30))
    assert colours() == {"grasper": lime, "hook": cyan, "scissors": magenta}
    editor.select(next(s for s in editor.instances if s.label == "hook"))
    editor.accept()
    assert colours() == {"grasper": lime, "hook": cyan, "scissors": magenta}
    editor.select(next(s for s in editor.instances if s.label == "grasper"))
    editor.reject()
    assert colours()["hook"] == cyan


def test_where_pixels_are_seen_the_line_follows_them(desk: Desk) -> None:
    canvas, editor = desk.annotate.canvas, desk.annotate.editor
    slope = np.tri(40, dtype=bool)
    plane = np.zeros((180, 320), bool)
    plane[10:50, 100:140] = slope
    editor.draw(Mask.from_full(plane))
    shown = editor.selected
    assert shown is not None
    assert canvas._path(shown).elementCount() < 10
    while canvas.pixel_scale() < 4:
        canvas.zoom_by(2.0, QPointF(canvas.width() / 2, canvas.height() / 2))
    assert canvas._path(shown).elementCount() > 80
