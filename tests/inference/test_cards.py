"""Which models a library has, and which of them run unasked."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from app.inference.cards import default_models, find_model, model_cards
from models.card import write_card


def test_a_damaged_card_is_left_out_with_a_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "broken"
    folder.mkdir(parents=True)
    (folder / "card.toml").write_text("name = ", encoding="utf-8")
    problems: list[str] = []
    cards = model_cards(tmp_path, problems)
    assert "lmsf-a-demo" in {c.name for c in cards}
    assert len(problems) == 1
    assert "broken" in problems[0]


def test_a_taught_model_waits_to_be_chosen_and_an_imported_one_does_not(tmp_path: Path) -> None:
    demo = find_model("lmsf-a-demo", tmp_path)
    assert demo.folder is not None
    for name, parent, is_demo in (("mine-1", "lmsf-a-demo", True), ("theirs", "", False)):
        folder = tmp_path / "models" / name
        shutil.copytree(demo.folder, folder)
        write_card(
            replace(demo, name=name, parent=parent, demo=is_demo, created="2999-01-01"), folder
        )
        chosen = {c.name for c in default_models(tmp_path, "cholecystectomy")}
        assert "mine-1" not in chosen
    assert "theirs" in chosen
    assert find_model("mine-1", tmp_path).parent == "lmsf-a-demo"
