"""What finished runs of LMSF-A's eight ablation networks reached, where all had one budget."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from app.core.errors import BadInput
from app.learning.runs import PLAN, RUN, finished

FIGURES = ("map50", "map50_95")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """Of one network.

    Attributes:
        runs: how many; they differ by seed.
        figures: mean of each of ``FIGURES``, 0 to 1.
    """

    runs: int
    figures: dict[str, float]


def reached(folder: Path, switches: tuple[str, ...]) -> dict[tuple[bool, ...], Reached]:
    """Reads the runs in a folder of run folders.

    Args:
        folder: of folders that ``trocar train --out`` made, with held-out pictures.
        switches: names of the options by which the networks differ.

    Returns:
        By the values of the switches.

    Raises:
        BadInput: there is no such run, or two had different material or settings.
    """
    found: dict[tuple[bool, ...], list[dict[str, float]]] = {}
    budgets = set()
    for path in sorted(folder.glob(f"*/{RUN}")):
        end = finished(path.parent)
        try:
            plan = json.loads((path.parent / PLAN).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BadInput(
                f"{path.parent.name} holds no plan of its run; train it again.", str(error)
            ) from error
        if end is None or plan.get("system") != "lmsf_a" or not set(FIGURES) <= set(end.best):
            continue
        key = tuple(bool(plan["options"].get(name, True)) for name in switches)
        found.setdefault(key, []).append(end.best)
        budgets.add(_budget(plan, switches))
    if not found:
        raise BadInput(
            f"{folder.name} holds no folder of a finished LMSF-A run that was measured on "
            "held-out pictures."
        )
    if len(budgets) > 1:
        raise BadInput(
            f"The runs in {folder.name} had different pictures or settings, so they cannot be "
            "ranked; keep those of one budget."
        )
    return {
        key: Reached(runs=len(bests), figures={f: mean(b[f] for b in bests) for f in FIGURES})
        for key, bests in found.items()
    }


def _budget(plan: dict[str, Any], switches: tuple[str, ...]) -> str:
    """All of a plan but which network it is and its seed."""
    same = {k: v for k, v in plan.items() if k not in ("name", "title")}
    same["options"] = {k: v for k, v in plan["options"].items() if k not in switches}
    for part in ("train", "data"):
        same[part] = {k: v for k, v in plan[part].items() if k != "seed"}
    return json.dumps(same, sort_keys=True)
