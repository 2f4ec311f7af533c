"""Labels of a case as a public data set writes them: phases, further rows, and the text itself."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from app.core import validate
from app.core.timeline import Segment, Timeline


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelFile:
    """What one case has in one label file, as it was written.

    Attributes:
        layout: key of the layout, such as ``cholec80``.
        name: of the file, without folders.
        sha256: of the whole file, which may speak of other cases too.
        content: the whole file, or its head and this case's own lines.
        numbers: of those lines in the file, from 1; empty for a whole file.
    """

    layout: str
    name: str
    sha256: str
    content: bytes
    numbers: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        validate.not_empty("LabelFile.name", self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRow:
    """Labels beside the phases, such as the presence of a tool, steps or time out of the body.

    Attributes:
        name: words for people.
        segments: by start; they may overlap, and ``phase`` is the label's key.
    """

    name: str
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledCase:
    """One operation of a data set.

    Attributes:
        layout: key of the layout.
        name: of the case in the data set, such as ``video01``.
        procedure: key of a taxonomy or ``unknown``.
        time_base: seconds per unit of time.
        length: up to where there are labels, in that unit; 0 where no label has a time.
        phases: None where the files name none; without a phase there is a gap.
        rows: what else they say, over the same time.
        facts: labels of the operation as a whole, in words.
        files: what all of it was read from.
    """

    layout: str
    name: str
    procedure: str
    time_base: Fraction
    length: int
    phases: Timeline | None = None
    rows: tuple[LabelRow, ...] = ()
    facts: tuple[str, ...] = ()
    files: tuple[LabelFile, ...] = ()

    def __post_init__(self) -> None:
        validate.not_empty("LabelledCase.name", self.name)
        ends = [s.end_pts for row in self.rows for s in row.segments]
        if self.phases is not None:
            ends.append(self.phases.end_pts)
        if max(ends, default=0) > self.length:
            raise ValueError("LabelledCase: a label ends after the case")

    @property
    def duration_s(self) -> float:
        """Up to where there are labels."""
        return float(self.length * self.time_base)
