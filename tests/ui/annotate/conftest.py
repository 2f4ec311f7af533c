"""The real window in Annotate, over a clip on which two runs have said something."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from app.core.mask import Mask
from app.core.prediction import FramePrediction, Instance, PhasePrediction
from app.core.taxonomy import find_taxonomy
from app.ui.annotate.workspace import AnnotateWorkspace
from app.ui.main_window import MainWindow
from tests.ui.conftest import on_screen

WIDTH, HEIGHT, FRAMES = 320, 180, 60
PHASES = tuple(p.key for p in find_taxonomy("cholecystectomy").phases)


def square(x: int, y: int, side: int) -> Mask:
    """A square of the clip's raster."""
    plane = np.zeros((HEIGHT, WIDTH), bool)
    plane[y : y + side, x : x + side] = True
    return Mask.from_full(plane)


def said(index: int) -> tuple[Instance, ...]:
    """Two objects that move to the right; the second is gone from frame 40 on."""
    grasper = Instance(label="grasper", mask=square(40 + index, 60, 50), score=0.9, track=1)
    hook = Instance(label="hook", mask=square(180 + index, 90, 40), score=0.6, track=2)
    return (grasper, hook) if index < 40 else (grasper,)


@dataclass
class Desk:
    """Annotate and what a person does in it."""

    window: MainWindow
    annotate: AnnotateWorkspace
    qtbot: QtBot

    @property
    def canvas(self) -> QWidget:
        return self.annotate.canvas

    @property
    def shown(self) -> list[tuple[str, str]]:
        """(class, verdict or ``model``) of each outline on screen."""
        return [
            (s.label, s.annotation.verdict.value if s.annotation else "model")
            for s in self.annotate.editor.instances
        ]

    def go_to(self, index: int) -> None:
        """Seek, and wait for frame and outlines."""
        self.window.services.player.player.seek_index(index)
        session = self.window.services.session

        def there() -> bool:
            known = session.prediction
            return on_screen(self.window) == index and (known is not None and known.index == index)

        self.qtbot.waitUntil(there, timeout=10_000)

    def press(self, key: Qt.Key, *keys: Qt.KeyboardModifier, on: QWidget | None = None) -> None:
        """A key on the picture, or on another widget."""
        target = on or self.canvas
        if not target.hasFocus():
            target.setFocus(Qt.FocusReason.TabFocusReason)
        held = Qt.KeyboardModifier.NoModifier
        for one in keys:
            held |= one
        self.qtbot.keyClick(target, key, held)

    def at(self, x: float, y: float) -> QPoint:
        """A point of the raster in the canvas's coordinates."""
        return self.annotate.canvas.to_widget(QPointF(x, y)).toPoint()

    def click(self, x: float, y: float) -> None:
        """Click a point of the raster."""
        self.qtbot.mouseClick(self.canvas, Qt.MouseButton.LeftButton, pos=self.at(x, y))

    def drag(self, *points: tuple[float, float], alt: bool = False) -> None:
        """Press at the first point of the raster, move over the others, release."""
        held = Qt.KeyboardModifier.AltModifier if alt else Qt.KeyboardModifier.NoModifier
        places = [self.at(*p) for p in points]
        left = Qt.MouseButton.LeftButton
        self.qtbot.mousePress(self.canvas, left, held, places[0])
        for place in places[1:]:
            event = QMouseEvent(
                QEvent.Type.MouseMove,
                QPointF(place),
                QPointF(self.canvas.mapToGlobal(place)),
                Qt.MouseButton.NoButton,
                left,
                held,
            )
            QApplication.sendEvent(self.canvas, event)
        self.qtbot.mouseRelease(self.canvas, left, held, places[-1])

    def wait_saved(self) -> None:
        """Until everything is durable."""
        session = self.window.services.session
        self.qtbot.waitUntil(lambda: session.unsaved == 0, timeout=10_000)


@pytest.fixture
def desk(opened: MainWindow, qtbot: QtBot) -> Desk:
    """Annotate with the clip at frame 0: two outlines of the model, three phases."""
    services = opened.services
    services.cases.set_procedure("cholecystectomy")
    case, asset = services.session.case, services.session.asset
    assert case is not None
    assert asset is not None
    store = services.library.predictions(case.case_id)
    step = (asset.end_pts - asset.start_pts) // FRAMES
    run = store.start_run(
        asset=asset,
        model="squares",
        task="instance-segmentation",
        weights_sha256="0",
        classes=("grasper", "hook"),
        settings={},
        sample_every=1,
        frames_expected=FRAMES,
    )
    store.put_frames(
        run.run_id,
        [
            FramePrediction(
                pts=asset.start_pts + i * step, index=i, instances=said(i), computed_ms=7
            )
            for i in range(FRAMES)
        ],
    )
    store.finish(run.run_id)
    phases = store.start_run(
        asset=asset,
        model="thirds",
        task="phase-recognition",
        weights_sha256="0",
        classes=PHASES,
        settings={},
        sample_every=3,
        frames_expected=FRAMES // 3,
    )
    store.put_phases(
        phases.run_id,
        [
            PhasePrediction(
                pts=asset.start_pts + i * step, index=i, probabilities=_likely(1 + i // 20)
            )
            for i in range(0, FRAMES, 3)
        ],
    )
    store.finish(phases.run_id)
    with qtbot.waitSignal(services.session.model_changed, timeout=10_000):
        services.cases.refresh_predictions()
    services.playback.refresh_view()
    opened.show_workspace("annotate")
    annotate = opened.annotate
    assert annotate is not None
    opened.activateWindow()
    made = Desk(opened, annotate, qtbot)
    qtbot.waitUntil(lambda: len(annotate.editor.instances) == 2, timeout=10_000)
    annotate.canvas.setFocus(Qt.FocusReason.TabFocusReason)
    qtbot.waitUntil(annotate.canvas.hasFocus)
    made.wait_saved()
    return made


def _likely(place: int) -> tuple[float, ...]:
    return tuple(0.7 if i == place else 0.05 for i in range(len(PHASES)))
