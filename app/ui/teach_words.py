"""What is said about teaching a model: before, how it learns; afterwards, what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from app.core.prediction import SEGMENTATION
from app.learning.run_view import Asked
from app.learning.teachable import Material, held_out_of
from app.ui.words import count

if TYPE_CHECKING:
    from models import ModelCard

LEARNT_FROM = (
    "the frames it learnt from, as there were too few to hold any out: on others it may do worse"
)
LATER = "How long it takes is said once it has learnt a few batches."
_SHOWN_CASES = 6


def how_it_learns(base: ModelCard, chosen: Sequence[Material], steps: int, every: int) -> str:
    """How a model will be taught, and what of it is kept aside to measure it."""
    if not chosen:
        return ""
    cases = "1 case" if len(chosen) == 1 else f"{count(len(chosen))} cases"
    return f"Learns from {cases}, {_way(base, steps)}. {_aside(base, chosen, every)} {LATER}"


def what_it_learns(name: str, asked: Asked) -> str:
    """What a training that goes on was asked for."""
    cases = ", ".join(asked.cases[:_SHOWN_CASES])
    more = len(asked.cases) - _SHOWN_CASES
    cases += f" and {count(more)} more" if more > 0 else ""
    of = "case" if len(asked.cases) == 1 else "cases"
    return f"{name} begins with {asked.base} and learns from {of} {cases}."


def _way(base: ModelCard, steps: int) -> str:
    batches = "1 batch" if steps == 1 else f"{count(steps)} batches"
    if base.task == SEGMENTATION:
        return f"{batches} of single pictures with their outlines"
    if base.features_of:
        return f"{batches} of whole operations, by what {base.features_of} saw in them"
    if base.system == "endonet":
        return f"{batches} of single pictures, then {batches} of how they follow one another"
    return f"{batches} of short clips of the recordings"


def _aside(base: ModelCard, chosen: Sequence[Material], every: int) -> str:
    if base.task == SEGMENTATION:
        frames, held = sum(m.frames for m in chosen), sum(m.frames // every for m in chosen)
        if not held:
            return "None of its frames is kept aside: it is measured on what it learnt from."
        return f"Of {count(frames)} frames {count(held)} are kept aside to measure it."
    held_out = held_out_of([m.case.case_id for m in chosen], every)
    if not held_out:
        return "No case is kept aside: it is measured on what it learnt from."
    more = len(held_out) - _SHOWN_CASES
    names = ", ".join(held_out[:_SHOWN_CASES]) + (f" and {count(more)} more" if more > 0 else "")
    return f"Kept aside to measure it: {names}."


def result_words(result: dict[str, Any]) -> str:
    """Before and after, in per cent: ``Mask mAP50 71 % before, 78 % after``."""
    best, base = result.get("best", {}), result.get("base", {})
    parts = [
        f"{name} {base[name]:.0f} % before, {value:.0f} % after"
        for name, value in best.items()
        if name in base
    ]
    held_out = result.get("held_out", 0)
    frames = "1 held-out frame" if held_out == 1 else f"{held_out} held-out frames"
    left_out = f" Left out: {result['left_out']}." if result.get("left_out") else ""
    where = f", measured on {frames if held_out else LEARNT_FROM}."
    return (("; ".join(parts[:2]) + where) if parts else "") + left_out
