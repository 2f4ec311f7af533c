"""The models and device sheet: what runs where, how fast, why not on the GPU, which model. GUI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QButtonGroup, QFrame, QHBoxLayout, QRadioButton, QVBoxLayout, QWidget

from app.core.taxonomy import UNKNOWN_PROCEDURE, Taxonomy, find_taxonomy
from app.ui.sheet import Sheet
from app.ui.widgets import Label, column, line

if TYPE_CHECKING:
    from models import ModelCard

DEMO_WORDS = "Demo, trained on synthetic pictures"
TASK_WORDS = {
    "instance-segmentation": "Instruments in every frame",
    "phase-recognition": "Phases of the operation",
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
        self._groups = []
        parts: list[QWidget | int] = [self._device(device)]
        for task, words in TASK_WORDS.items():
            of_task = [c for c in cards if c.task == task]
            parts += [16, Label(words, "heading"), 4]
            if not of_task:
                parts.append(Label("No model for this is installed.", tone="3"))
                continue
            group = QButtonGroup(self)
            self._groups.append(group)
            for card in of_task:
                parts.append(self._card(card, task, chosen.get(task, ""), group, device, taxonomy))
        self.set_body(column(*parts, 0, spacing=6, margins=(28, 20, 28, 12)))

    def _device(self, device: DeviceFacts | None) -> QWidget:
        if device is None:
            return Label("Looking for the device", tone="3")
        reason = Label(device.reason, tone="2")
        reason.setWordWrap(True)
        memory = Label(f"{device.memory_mb / 1024:.0f} GB of memory", "small", "3")
        return column(Label(device.name, "title"), reason, memory, 8, line(), spacing=4)

    def _card(
        self,
        card: ModelCard,
        task: str,
        chosen: str,
        group: QButtonGroup,
        device: DeviceFacts | None,
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
        speed = device.ms_per_frame.get(card.name) if device else None
        if speed is not None:
            top.addWidget(Label(f"{speed:.0f} ms per frame here", "small", "2"))
        layout = QVBoxLayout(frame)
        layout.setContentsMargins(12, 8, 12, 10)
        layout.setSpacing(4)
        layout.addLayout(top)
        for text, tone in card_lines(card, taxonomy):
            words = Label(text, "small", tone)
            words.setWordWrap(True)
            words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            layout.addWidget(words)
        return frame


def card_lines(card: ModelCard, taxonomy: Taxonomy) -> list[tuple[str, str]]:
    """(sentence, tone) of a model: marks first, then what it is."""
    lines = []
    if card.demo:
        lines.append((DEMO_WORDS, "warn"))
    unfit = fit_words(card, taxonomy)
    if unfit:
        lines.append((f"{unfit}.", "warn"))
    if card.weights_path is None:
        lines.append(("Its weights are not here, so it cannot run.", "error"))
    names = ", ".join(c.name.lower() for c in card.classes)
    lines.append((f"Tells apart: {names}.", "2"))
    if card.parent:
        lines.append((f"Taught by your corrections, from {card.parent}.", "2"))
    if card.figures:
        lines.append((", ".join(f"{k} {_figure(v)}" for k, v in card.figures.items()), "3"))
    if card.limits:
        lines.append((card.limits, "3"))
    size = f"{card.parameters / 1e6:.1f} million parameters"
    lines.append((f"{size}, licence {card.licence}" if card.licence else size, "3"))
    return lines


def _figure(value: float) -> str:
    return f"{value:.3f}" if abs(value) <= 1 else f"{value:.1f}"
