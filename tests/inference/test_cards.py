"""One bad model folder hides itself, not the others."""

from __future__ import annotations

from pathlib import Path

from app.inference.cards import model_cards


def test_a_damaged_card_is_left_out_with_a_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "broken"
    folder.mkdir(parents=True)
    (folder / "card.toml").write_text("name = ", encoding="utf-8")
    problems: list[str] = []
    cards = model_cards(tmp_path, problems)
    assert "lmsf-a-demo" in {c.name for c in cards}
    assert len(problems) == 1
    assert "broken" in problems[0]
