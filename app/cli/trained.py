"""What ``train`` and ``pretrain`` leave and tell: a model folder with its card, and a result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from app.cli.common import emit

if TYPE_CHECKING:
    from app.learning.recipes import Recipe
    from app.learning.runs import RunEnd
    from models.card import ModelCard

Save = Callable[[Path, "ModelCard", Path], "ModelCard"]


def command_line(command: str, options: Mapping[str, str | int | float | Path | None]) -> str:
    """A command as it was given, for the card; without the folders of files, which are nobody's.

    Args:
        command: its name and what needs no option.
        options: by their flags; ``True`` for a flag alone, None, ``False`` and ``""`` for none.
    """
    words = [command]
    for flag, value in options.items():
        if value is None or value is False or value == "":
            continue
        words.append(flag)
        if value is not True:
            said = value.name if isinstance(value, Path) else value
            words.append(f"{said:g}" if isinstance(said, float) else str(said))
    return " ".join(words)


def publish_and_tell(
    plan: Recipe,
    end: RunEnd,
    out: Path,
    *,
    command: str,
    base: str | None,
    save: Save,
    as_json: bool,
    more: Mapping[str, int] | None = None,
) -> None:
    """Make a model of a run that ended, in the run's folder, and tell what it is.

    Args:
        plan: what was learnt.
        end: how it ended.
        out: the run's folder.
        command: what repeats it.
        base: the model whose weights it began with.
        save: writes the model folder.
        as_json: one JSON object in place of a line.
        more: what else the result holds.
    """
    from app.inference.cards import model_errors
    from app.learning import publish

    parent = Path(base).name if base else ""
    with model_errors():
        card = publish.card_of(plan, end, command=command, figures=end.best, parent=parent)
        card = save(out, card, out)
    result = {
        "model": card.name,
        "card": str(out / card.name / "card.toml"),
        "epochs": end.steps,
        "best": end.best,
        "base": {},
        **(more or {}),
        "device": card.trained.device,
        "seconds": round(end.seconds, 1),
    }
    emit(result, as_json=as_json, text=f"{card.title}: {out / card.name}")
