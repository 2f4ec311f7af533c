"""Held-out pictures as the network sees them: at first, at an evaluation, and the truth. GUI."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QImage, QPainter, QPaintEvent
from PySide6.QtWidgets import QGridLayout, QSizePolicy, QVBoxLayout, QWidget

from app.learning.run_log import SampleFile
from app.ui import theme
from app.ui.widgets import Label, RingSlider, row
from app.ui.words import count

_MOST = 4
_EMPTY = "Pictures come with the first evaluation, where something is held out."


class Samples(QWidget):
    """Rows of small pictures, and a slider over the evaluations.

    Signals:
        wanted: (tuple of Path) pictures to be read and given to ``show_pictures``.
    """

    wanted = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._files: tuple[SampleFile, ...] = ()
        self._steps: list[int] = []
        self._paths: tuple[tuple[Path, ...], ...] = ((), (), ())
        self.words = [Label("At the start", "small", "2"), Label("Now", "small", "2")]
        self.words.append(Label("True", "small", "2"))
        self._grid = QGridLayout()
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(6)
        self.thumbs = [[_Thumb() for _ in range(_MOST)] for _ in range(3)]
        for line, words in enumerate(self.words):
            self._grid.addWidget(words, line, 0)
            for place, thumb in enumerate(self.thumbs[line]):
                self._grid.addWidget(thumb, line, place + 1)
                self._grid.setColumnStretch(place + 1, 1)
        box = QWidget()
        box.setLayout(self._grid)
        self._box = box
        self.slider = RingSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, 0)
        self.slider.setAccessibleName("Evaluation whose pictures are shown")
        self.slider.valueChanged.connect(self._moved)
        self.when = Label("", "small", "3")
        self._empty = Label(_EMPTY, tone="3")
        self._empty.setWordWrap(True)
        self._line = row(self.slider, self.when, spacing=10)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        for part in (self._empty, box, self._line):
            layout.addWidget(part)
        box.hide()
        self._line.hide()

    def show_files(self, files: tuple[SampleFile, ...], truth: str) -> None:
        """These are there; the slider stays at the end if it stood there.

        Args:
            files: of the run that is looked at.
            truth: what the third row is called.
        """
        self.words[2].setText(truth)
        if files == self._files:
            return
        at_end = self.slider.value() == self.slider.maximum()
        self._files = files
        self._steps = sorted({f.step for f in files if f.step is not None})
        self.slider.blockSignals(True)  # noqa: FBT003 - Qt's own
        self.slider.setRange(0, max(0, len(self._steps) - 1))
        if at_end:
            self.slider.setValue(self.slider.maximum())
        self.slider.blockSignals(False)  # noqa: FBT003
        self._line.setVisible(len(self._steps) > 2)
        self._empty.setVisible(not files)
        self._box.setVisible(bool(files))
        self._moved()

    def show_pictures(self, pictures: Mapping[Path, QImage]) -> None:
        """Pictures that were asked for; a row without one is not shown."""
        for paths, thumbs in zip(self._paths, self.thumbs, strict=True):
            for place, thumb in enumerate(thumbs):
                path = paths[place] if place < len(paths) else None
                thumb.show_image(pictures.get(path) if path else None)

    def _moved(self) -> None:
        if not self._steps:
            self._paths = ((), (), ())
            return
        step = self._steps[self.slider.value()]
        self.words[1].setText("Now" if step == self._steps[-1] else f"After {count(step)}")
        self.when.setText(f"After {count(step)} batches")
        self._paths = tuple(
            tuple(f.path for f in self._files if f.step == wanted)[:_MOST]
            for wanted in (self._steps[0], step, None)
        )
        for words, thumbs, paths in zip(self.words, self.thumbs, self._paths, strict=True):
            words.setVisible(bool(paths))
            for place, thumb in enumerate(thumbs):
                thumb.setVisible(place < len(paths))
                thumb.setAccessibleName(f"Picture {place + 1}, {words.text().lower()}")
        self.wanted.emit(tuple(path for paths in self._paths for path in paths))


class _Thumb(QWidget):
    def __init__(self) -> None:
        super().__init__()
        self._image: QImage | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_image(self, image: QImage | None) -> None:
        """Show another picture; none leaves the one that is there."""
        if image is not None and image is not self._image:
            self._image = image
            self.updateGeometry()
            self.update()

    def sizeHint(self) -> QSize:
        """Room for a picture."""
        return QSize(120, theme.px(104))

    def paintEvent(self, event: QPaintEvent) -> None:
        """The picture, as large as it fits, on the stage's black."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), theme.color("stage"))
        if self._image is None:
            return
        ratio = self.devicePixelRatioF()
        fitted = self._image.size().scaled(self.size(), Qt.AspectRatioMode.KeepAspectRatio)
        shown = self._image.scaled(
            fitted * ratio,
            Qt.AspectRatioMode.IgnoreAspectRatio,
            Qt.TransformationMode.SmoothTransformation,
        )
        left, top = (self.width() - fitted.width()) / 2, (self.height() - fitted.height()) / 2
        painter.drawImage(QRectF(left, top, fitted.width(), fitted.height()), shown)
