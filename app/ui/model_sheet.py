"""The models and device sheet: what runs where, how fast, why not on the GPU, which model. GUI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QButtonGroup,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)

from app.core.prediction import ACTIVITIES, ANTICIPATION, RETRIEVAL
from app.core.taxonomy import UNKNOWN_PROCEDURE, Taxonomy, find_taxonomy
from app.ui.sheet import Sheet
from app.ui.widgets import Button, Label, column, line

if TYPE_CHECKING:
    from models import ModelCard

DEMO_WORDS = "Demo, trained on synthetic pictures"
TASK_WORDS = {
    "instance-segmentation": "Outlines in every frame",
    "phase-recognition": "Phases of the operation",
    ANTICIPATION: "What comes next, and the time left",
    ACTIVITIES: "Activities and areas",
    RETRIEVAL: "Finding moments by words",
}
OPTIONAL_TASKS = (ANTICIPATION, ACTIVITIES, RETRIEVAL)
"""Tasks that no model does before the user chooses one."""

WORDS_OF_FIGURES = {
    "map50": "mAP 50",
    "map50-95": "mAP 50 to 95",
    "iou": "IoU",
    "miou": "mean IoU",
    "dice": "Dice",
    "mdice": "mean Dice",
    "psnr": "PSNR",
    "ssim": "SSIM",
    "f1": "F1",
    "cholect50": "CholecT50",
    "phantom": "synthetic",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFacts:
    """What the sheet says about the device.

    Attributes:
        name: of the hardware.
        reason: one sentence why this one.
        memory_mb: of the card, or of the computer.
        ms_per_frame: model name to measured milliseconds on this PC.
    """

    name: str
    reason: str
    memory_mb: int
    ms_per_frame: Mapping[str, float]


def fit_words(card: ModelCard, taxonomy: Taxonomy) -> str:
    """Why a model does not fit a case, "" where it does or nobody knows the procedure."""
    if taxonomy.procedure == UNKNOWN_PROCEDURE or card.suits(taxonomy.procedure):
        return ""
    made_for = ", ".join(find_taxonomy(p).name.lower() for p in card.procedures)
    return f"{card.title} was made for {made_for}, not for {taxonomy.name.lower()}"


class ModelSheet(Sheet):
    """Device and models.

    Signals:
        model_chosen: (task, model name)
    """

    model_chosen = Signal(str, str)

    def __init__(self, window: QWidget) -> None:
        super().__init__(window, "Models and device", 720, 640)
        self._groups: list[QButtonGroup] = []
        self._shown: object = None
        self._speeds: dict[str, Label] = {}
        self.set_body(column(Label("Looking for models", tone="3"), 0, margins=(28, 20, 28, 12)))

    def show_facts(
        self,
        device: DeviceFacts | None,
        cards: Sequence[ModelCard],
        chosen: Mapping[str, str],
        taxonomy: Taxonomy,
    ) -> None:
        """Fill the sheet.

        Args:
            device: None while it is not known.
            cards: all that are installed.
            chosen: task to the name of the model in use.
            taxonomy: of the open case.
        """
        known = replace(device, ms_per_frame={}) if device else None
        asked = (known, tuple(c.name for c in cards), dict(chosen), taxonomy.procedure)
        if asked != self._shown:
            self._shown = asked
            self._fill(device, cards, chosen, taxonomy)
        for name, speed in self._speeds.items():
            ms = device.ms_per_frame.get(name) if device else None
            speed.setText("" if ms is None else f"{ms:.0f} ms per frame here")

    def _fill(
        self,
        device: DeviceFacts | None,
        cards: Sequence[ModelCard],
        chosen: Mapping[str, str],
        taxonomy: Taxonomy,
    ) -> None:
        self._groups, self._speeds = [], {}
        parts: list[QWidget | int] = [self._device(device)]
        for task, words in TASK_WORDS.items():
            of_task = [c for c in cards if c.task == task]
            parts += [16, Label(words, "heading"), 4]
            if not of_task:
                parts.append(Label("No model for this is installed.", tone="3"))
                continue
            group = QButtonGroup(self)
            self._groups.append(group)
            if task in OPTIONAL_TASKS:
                parts.append(self._none(task, chosen.get(task, ""), group))
            for card in of_task:
                parts.append(self._card(card, task, chosen.get(task, ""), group, taxonomy))
        self.set_body(column(*parts, 0, spacing=6, margins=(28, 20, 28, 12)))

    def _device(self, device: DeviceFacts | None) -> QWidget:
        if device is None:
            return Label("Looking for the device", tone="3")
        reason = Label(device.reason, tone="2")
        reason.setWordWrap(True)
        memory = Label(f"{device.memory_mb / 1024:.0f} GB of memory", "small", "3")
        return column(Label(device.name, "title"), reason, memory, 8, line(), spacing=4)

    def _none(self, task: str, chosen: str, group: QButtonGroup) -> QWidget:
        button = QRadioButton("None")
        button.setAccessibleName(f"No model for {TASK_WORDS[task].lower()}")
        button.setChecked(not chosen)
        button.toggled.connect(lambda on: self.model_chosen.emit(task, "") if on else None)
        group.addButton(button)
        return button

    def _card(
        self,
        card: ModelCard,
        task: str,
        chosen: str,
        group: QButtonGroup,
        taxonomy: Taxonomy,
    ) -> QWidget:
        frame = QFrame()
        frame.setProperty("kind", "card")
        button = QRadioButton(card.title)
        button.setAccessibleName(card.title)
        button.setChecked(card.name == chosen)
        button.setEnabled(card.weights_path is not None)
        button.toggled.connect(lambda on: self.model_chosen.emit(task, card.name) if on else None)
        group.addButton(button)
        top = QHBoxLayout()
        top.addWidget(button)
        top.addStretch(1)
        speed = self._speeds[card.name] = Label("", "small", "2")
        top.addWidget(speed)
        layout = QVBoxLayout(frame)
        layout.setContentsMargins(12, 8, 12, 10)
        layout.setSpacing(4)
        layout.addLayout(top)
        for text, tone in card_lines(card, taxonomy):
            words = Label(text, "small", tone)
            words.setWordWrap(True)
            words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            layout.addWidget(words)
        if card.figures:
            _add_figures(layout, card.figures)
        return frame


def _add_figures(layout: QVBoxLayout, figures: Mapping[str, float]) -> None:
    """A button that unfolds what was measured on the model."""
    table = QWidget()
    grid = QGridLayout(table)
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setVerticalSpacing(2)
    grid.setColumnStretch(0, 1)
    for place, (name, value) in enumerate(figures.items()):
        grid.addWidget(Label(figure_words(name), "small", "3"), place, 0)
        grid.addWidget(Label(_figure(value), "small", "2"), place, 1, Qt.AlignmentFlag.AlignRight)
    table.hide()
    button = Button("Figures", "plain", tooltip="What was measured when the model was made")
    button.setCheckable(True)
    button.toggled.connect(table.setVisible)
    layout.addWidget(button, 0, Qt.AlignmentFlag.AlignLeft)
    layout.addWidget(table)


def figure_words(name: str) -> str:
    """A figure's name in a card, in words: ``held_out_map50_95`` is ``Held out mAP 50 to 95``."""
    words = name.replace("map50_95", "map50-95").split("_")
    words = [WORDS_OF_FIGURES.get(w, w) for w in words]
    if not words[0].startswith("mAP"):
        words[0] = words[0][:1].upper() + words[0][1:]
    return " ".join(words)


def card_lines(card: ModelCard, taxonomy: Taxonomy) -> list[tuple[str, str]]:
    """(sentence, tone) of a model: marks first, then what it is."""
    from app.inference.cards import context_words

    lines = []
    if card.demo:
        lines.append((DEMO_WORDS, "warn"))
    unfit = fit_words(card, taxonomy)
    if unfit:
        lines.append((f"{unfit}.", "warn"))
    if card.weights_path is None:
        lines.append(("Its weights are not here, so it cannot run.", "error"))
    told = (*card.activities, *card.classes)
    names = ", ".join(c.name for c in told)
    lines.append((f"{'Tells apart' if len(told) > 1 else 'Knows'}: {names}.", "2"))
    if card.parent:
        lines.append((f"Taught by your corrections, from {card.parent}.", "2"))
    if context := context_words(card):
        lines.append((context, "3"))
    if card.limits:
        lines.append((card.limits, "3"))
    size = f"{card.parameters / 1e6:.1f} million parameters"
    lines.append((f"{size}, licence {card.licence}" if card.licence else size, "3"))
    return lines


def _figure(value: float) -> str:
    return f"{value:.3f}" if abs(value) <= 1 else f"{value:.1f}"
