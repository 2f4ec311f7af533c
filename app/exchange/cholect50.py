"""CholecT50 labels: one JSON per case, one label a second, 15 numbers per action triplet.

Boxes are fractions of the picture (x, y, width, height) and cover the working end of acting
instruments only: recall against them is meaningful, precision is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.core.errors import BadInput
from app.core.taxonomy import find_taxonomy
from app.exchange.jsonfile import read_json

INSTRUMENTS = ("grasper", "bipolar", "hook", "scissors", "clipper", "irrigator")


@dataclass(frozen=True, slots=True, kw_only=True)
class CholecT50Frame:
    """Labels of one second.

    Attributes:
        second: the key of the annotation, 0-based.
        phase: taxonomy key, None when absent.
        boxes: (instrument key, (x, y, w, h) as fractions of the picture), each box once.
    """

    second: int
    phase: str | None
    boxes: tuple[tuple[str, tuple[float, float, float, float]], ...]


def read_labels(path: Path) -> tuple[CholecT50Frame, ...]:
    """All labelled seconds of one case, in order.

    Raises:
        BadInput: the file is not a CholecT50 label file.
    """
    data = read_json(path)
    try:
        rows = {int(k): v for k, v in data["annotations"].items()}
        phases = [p.key for p in find_taxonomy("cholecystectomy").phases]
        return tuple(_frame(second, rows[second], phases) for second in sorted(rows))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise BadInput(
            f"{path.name} is not a CholecT50 label file: {error}.", str(error)
        ) from error


def _frame(second: int, rows: list[list[float]], phases: Sequence[str]) -> CholecT50Frame:
    boxes: dict[tuple[str, tuple[float, float, float, float]], None] = {}
    phase = None
    for row in rows:
        if row[14] >= 0:
            phase = phases[int(row[14])]
        box = (float(row[3]), float(row[4]), float(row[5]), float(row[6]))
        if row[1] >= 0 and min(box[2:]) > 0:
            boxes[(INSTRUMENTS[int(row[1])], box)] = None
    return CholecT50Frame(second=second, phase=phase, boxes=tuple(boxes))
