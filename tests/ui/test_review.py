"""What Review writes over the picture stays readable."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPointF, QRect
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QAbstractItemView
from pytestqt.qtbot import QtBot

from app.annotate import phases
from app.core.frame import Frame
from app.core.prediction import PhasePrediction
from app.core.taxonomy import find_taxonomy, list_taxonomies
from app.ui import theme
from app.ui.ask import ProcedureLine
from app.ui.joins import Join
from app.ui.main_window import MainWindow
from app.ui.osd import KeyRow
from app.ui.theme import contrast
from app.ui.timeline.data import timeline_data
from tests.ui.conftest import on_screen

PROJECT = Path(__file__).resolve().parents[2]


def frame_with(window: MainWindow, brightness: int, share: float) -> Frame:
    """A black frame of the stage's size, bright in a part of what lies behind the key."""
    stage = window.review.stage
    rgb = np.zeros((stage.height(), stage.width(), 3), np.uint8)
    rect = stage._key_rect().toRect()
    right = rect.left() + round(rect.width() * share)
    rgb[rect.top() : rect.bottom() + 1, rect.left() : right] = brightness
    return Frame(rgb=rgb, pts=40, index=40, time_ms=1600.0)


@pytest.mark.parametrize(("brightness", "share", "plate"), [(0, 1, 0), (255, 1, 1), (255, 0.1, 1)])
def test_the_key_has_a_plate_wherever_the_picture_behind_it_is_bright(
    opened: MainWindow, qtbot: QtBot, brightness: int, share: float, plate: bool
) -> None:
    stage = opened.review.stage
    assert on_screen(opened) == 0
    stage.set_key((KeyRow(name="Grasper", colour=theme.outlines()[0]),))
    stage.set_frame(frame_with(opened, brightness, share))
    image = stage.grab().toImage()
    at = stage._key_rect().topLeft() + QPointF(6, stage._key_rect().height() / 2)
    behind = QColor(image.pixel(at.toPoint()))
    bare = QColor(brightness, brightness, brightness)
    assert (behind != bare) == plate
    assert contrast(theme.color("osd_text"), behind) >= 4.5
    assert contrast(theme.color("osd_text_2"), behind) >= 4.5


def test_the_clock_has_a_plate_over_a_recorders_own_words(opened: MainWindow, qtbot: QtBot) -> None:
    stage = opened.review.stage
    rgb = np.zeros((stage.height(), stage.width(), 3), np.uint8)
    rect = stage._clock_rect().toRect()
    stage.set_frame(Frame(rgb=rgb, pts=40, index=40, time_ms=1600.0))
    at = rect.left() + 6, rect.top() + 14
    assert QColor(stage.grab().toImage().pixel(*at)) == QColor(0, 0, 0)
    words = rgb.copy()
    words[rect.top() : rect.top() + rect.height() // 4, rect.left() : rect.left() + 60] = 255
    stage.set_frame(Frame(rgb=words, pts=80, index=41, time_ms=1640.0))

    def behind() -> QColor:
        return QColor(stage.grab().toImage().pixel(*at))

    qtbot.waitUntil(lambda: contrast(theme.color("osd_text"), behind()) >= 4.5, timeout=5_000)


def phases_said(window: MainWindow, qtbot: QtBot, model: str) -> None:
    """A model of this name says that the whole case is clipping and cutting."""
    services = window.services
    case, asset = services.session.case, services.session.asset
    assert case is not None
    assert asset is not None
    classes = ("calot_triangle_dissection", "clipping_cutting")
    store = services.library.predictions(case.case_id)
    run = store.start_run(
        asset=asset,
        model=model,
        task="phase-recognition",
        weights_sha256="0",
        classes=classes,
        settings={},
        sample_every=25,
        frames_expected=3,
    )
    step = (asset.end_pts - asset.start_pts) // asset.frames
    store.put_phases(
        run.run_id,
        [
            PhasePrediction(pts=asset.start_pts + i * step, index=i, probabilities=(0.1, 0.9))
            for i in (0, 25, 50)
        ],
    )
    store.finish(run.run_id)
    with qtbot.waitSignal(services.session.model_changed, timeout=10_000):
        services.cases.refresh_predictions()
    qtbot.waitUntil(lambda: bool(services.analysis.cards), timeout=10_000)


def test_an_unnamed_operation_shows_the_phases_in_the_words_of_the_model(
    opened: MainWindow, qtbot: QtBot
) -> None:
    phases_said(opened, qtbot, "endomamba-demo")
    session, ribbon = opened.services.session, opened.review.ribbon
    assert session.taxonomy.phases == ()
    qtbot.waitUntil(lambda: ribbon.data.taxonomy is session.shown_taxonomy, timeout=10_000)
    orange = theme.model_paint(find_taxonomy("cholecystectomy").phases[2].colour).fill
    image = ribbon.grab().toImage()
    assert QColor(image.pixel(ribbon.width() // 2, 40)) == orange
    assert opened.review.stage.accessibleName().endswith("clip and cut")
    opened.show_workspace("annotate")
    assert opened.annotate is not None
    model = opened.annotate.segments.findChild(QAbstractItemView).model()
    assert "Clip and cut" in [model.index(row, 0).data() for row in range(model.rowCount())]


def test_no_join_crosses_the_words_of_what_is_not_analysed(opened: MainWindow) -> None:
    ribbon, asset = opened.review.ribbon, opened.services.session.asset
    assert asset is not None
    opened.resize(1680, 1050)
    shown = []
    for pts in (asset.pts(100.0), asset.pts(1900.0)):
        join = Join(pts=pts, end_pts=asset.end_pts, words="", gap_ms=0.0, is_gone=False)
        ribbon.data.joins = (join,)
        ribbon.invalidate()
        ribbon.set_time(1500.0)
        picture = ribbon.grab().toImage()
        x = round(ribbon._x(asset.time_ms(pts)))
        column = {picture.pixelColor(x, y).name() for y in range(34, 46)}
        shown.append(theme.color("text_3").name() in column)
    assert ribbon.data.tail_words
    assert shown == [False, True]


@pytest.mark.parametrize("height_px", [700, 1050])
def test_the_playhead_hides_no_letter_of_the_phase_it_jumped_to(
    opened: MainWindow, qtbot: QtBot, height_px: int
) -> None:
    opened.resize(1680, height_px)
    phases_said(opened, qtbot, "endomamba-demo")
    ribbon = opened.review.ribbon
    qtbot.waitUntil(lambda: ribbon.block_at(0.0) is not None, timeout=10_000)
    words = QRect(0, 2, 400, round(ribbon._rows()[0]) + 3)
    ribbon.set_time(0.0)
    at_start = ribbon.grab(words).toImage()
    ribbon.set_time(2000.0)
    assert ribbon.grab(words).toImage() == at_start


def test_where_a_person_decided_otherwise_the_corner_says_what_the_model_says(
    opened: MainWindow, qtbot: QtBot
) -> None:
    phases_said(opened, qtbot, "endomamba-demo")
    session, stage = opened.services.session, opened.review.stage
    opened.services.cases.set_procedure("cholecystectomy")
    qtbot.waitUntil(lambda: session.taxonomy.procedure == "cholecystectomy", timeout=10_000)
    assert stage.other_phase is None
    assert session.case is not None
    assert session.asset is not None
    tiers = timeline_data(session.case.case_id, session.asset, session.taxonomy, you=None).tiers
    without = stage.grab().toImage()
    session.commit(phases.start_at(tiers, session.asset.start_pts, "preparation"))
    assert session.model is not None
    said = session.model.timeline.phase_at(session.asset.start_pts)
    assert stage.other_phase == said
    assert stage.grab().toImage() != without


def test_a_new_analysis_does_not_hide_the_whole_one_before(
    opened: MainWindow, qtbot: QtBot
) -> None:
    phases_said(opened, qtbot, "endomamba-demo")
    services, asset = opened.services, opened.services.session.asset
    assert services.session.case is not None
    assert asset is not None
    store = services.library.predictions(services.session.case.case_id)
    whole = store.runs(asset.asset_id)[-1]
    run = store.start_run(
        asset=asset, model="endomamba-demo", task="phase-recognition", weights_sha256="1",
        classes=whole.classes, settings={}, sample_every=25, frames_expected=3,
    )  # fmt: skip
    said = PhasePrediction(pts=asset.start_pts, index=0, probabilities=(0.9, 0.1))
    store.put_phases(run.run_id, [said])
    with qtbot.waitSignal(services.session.model_changed, timeout=10_000):
        services.cases.refresh_predictions()
    assert services.session.model is not None
    assert services.session.model.run == whole
    store.finish(run.run_id)
    with qtbot.waitSignal(services.session.model_changed, timeout=10_000):
        services.cases.refresh_predictions()
    assert services.session.model.run is not None
    assert services.session.model.run.run_id == run.run_id


def test_phases_of_a_model_nobody_knows_keep_their_own_words(
    opened: MainWindow, qtbot: QtBot
) -> None:
    phases_said(opened, qtbot, "gone")
    assert opened.review.stage.accessibleName().endswith("clipping cutting")
    block = opened.review.ribbon.block_at(0)
    assert block is not None
    taxonomy = opened.services.session.shown_taxonomy
    assert taxonomy.phase_name(block.segment.phase) == "Clipping cutting"


def test_the_chooser_suggests_what_the_models_were_made_for_and_decides_nothing(
    opened: MainWindow, qtbot: QtBot
) -> None:
    chooser = opened.slot.lines[-1]
    assert isinstance(chooser, ProcedureLine)
    qtbot.waitUntil(lambda: chooser.combo.currentData() == "cholecystectomy", timeout=10_000)
    assert chooser.hint.text() == "The models were made for it"
    case = opened.services.session.case
    assert case is not None
    assert case.procedure == "unknown"
    assert opened.services.library.case(case.case_id).procedure == "unknown"
    other = next(t for t in list_taxonomies() if t.procedure not in ("cholecystectomy", "unknown"))
    place = chooser.combo.findData(other.procedure)
    chooser.combo.setCurrentIndex(place)
    chooser.combo.activated.emit(place)
    assert chooser.hint.text().endswith(f"not for {other.name.lower()}")
    opened.services.analysis.changed.emit()
    assert chooser.combo.currentData() == other.procedure


def text_sizes(pdf: bytes) -> list[float]:
    """Sizes of the texts of a PDF that Qt wrote, in the order in which they are set."""
    sizes = []
    for found in re.finditer(rb"stream\r?\n(.*?)endstream", pdf, re.DOTALL):
        with suppress(zlib.error):
            text = zlib.decompress(found.group(1))
            sizes += [float(x) for x in re.findall(rb"/F\d+ ([\d.]+) Tf", text)]
    return sizes


def test_the_report_is_a_pdf_where_the_file_is_named_so(
    opened: MainWindow, qtbot: QtBot, tmp_path: Path
) -> None:
    phases_said(opened, qtbot, "endomamba-demo")
    opened.services.cases.set_procedure("cholecystectomy")
    case = opened.services.session.case
    assert case is not None
    qtbot.waitUntil(lambda: opened.services.session.unsaved == 0, timeout=10_000)
    out = tmp_path / "case.pdf"
    with qtbot.waitSignal(opened.services.cases.reported, timeout=30_000):
        opened.services.cases.write_report(case.case_id, out)
    pdf = out.read_bytes()
    assert pdf.startswith(b"%PDF-")
    assert pdf.rstrip().endswith(b"%%EOF")
    assert pdf.count(b"/Subtype /Image") == 1
    assert b"Inter" in pdf, "the typeface is embedded"
    width, height = (float(x) for x in re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)", pdf)[0])
    assert (round(width), round(height)) == (595, 842)
    title, *others = text_sizes(pdf)
    assert title >= 1.5 * max(set(others), key=others.count), "the title is larger than the text"
    assert max(others) < title


def test_the_command_writes_the_same_pdf(opened: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    folder = opened.services.library.folder
    out = tmp_path / "case.pdf"
    done = subprocess.run(
        [sys.executable, "-m", "app", "report", "0001", "--out", str(out)],
        cwd=PROJECT, env={**os.environ, "TROCAR_LIBRARY": str(folder)},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert out.read_bytes().startswith(b"%PDF-")
