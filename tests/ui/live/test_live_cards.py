"""Which models look at a live picture, and what is said of those that cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.ui.analysis import pick
from app.ui.live.models import live_cards
from models.card import WEIGHTS_FILE, ModelCard, ModelClass

SHA256 = "0" * 64


@pytest.fixture
def cards(tmp_path: Path) -> list[ModelCard]:
    """A causal model, and a newer one that reads its features and looks ahead."""

    def card(name: str, title: str, **options: object) -> ModelCard:
        (tmp_path / name).mkdir()
        (tmp_path / name / WEIGHTS_FILE).touch()
        return ModelCard(
            name=name,
            title=title,
            system="endomamba",
            task="phase-recognition",
            classes=(ModelClass(key="a", name="A"),),
            weights_sha256=SHA256,
            folder=tmp_path / name,
            **options,
        )

    return [
        card("stream", "Stream", created="2026-01-01"),
        card("ahead", "Ahead", created="2027-01-01", causal=False, features_of="stream"),
    ]


def test_a_model_that_looks_ahead_is_refused_with_the_reason(cards: list[ModelCard]) -> None:
    wanted = {"phase-recognition": "ahead"}
    chosen, said = live_cards(cards, wanted, "unknown")
    assert [c.name for c in chosen] == ["stream"]
    assert said == [
        "Ahead looks ahead: it labels recordings, and cannot say what goes on now. "
        "Stream is used live."
    ]
    chosen, said = live_cards(cards[1:], wanted, "unknown")
    assert chosen == []
    assert said[0].endswith("No phases are named live.")
    assert live_cards(cards, {}, "unknown") == (cards[:1], [])


def test_a_recording_is_labelled_by_what_was_chosen(cards: list[ModelCard]) -> None:
    assert pick(cards, "phase-recognition", "", "unknown") == cards[0]
    assert pick(cards, "phase-recognition", "ahead", "unknown") == cards[1]
