"""The pictures that a model does worst on, kept while it is measured, to be looked at.

Each is written twice side by side: what is labelled, and what the model says.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from app.core.errors import EnvironmentProblem
from app.core.mask import Mask
from app.core.picture import LabelledPicture
from app.core.prediction import Instance
from app.core.taxonomy import find_taxonomy
from app.overlay.export import picture_with_overlay
from app.overlay.palette import report_style
from app.overlay.shown import ShownInstance

_QUALITY = 88
_EDGE_SHARE = 1 / 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One picture that was kept.

    Attributes:
        name: of the picture.
        score: what it was ranked by, 0 to 1, lower is worse.
        jpeg: the two views side by side.
    """

    name: str
    score: float
    jpeg: bytes


class Worst:
    """Of all pictures that are noted the ``keep`` worst.

    Of equals the one in which more is labelled is worse, then the earlier.
    """

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._heap: list[tuple[float, int, int, Look]] = []
        self._noted = 0

    def note(self, picture: LabelledPicture, said: Iterable[Instance], score: float) -> None:
        """Keep a picture if it is among the worst so far.

        Args:
            said: what the model shows in it.
            score: 0 to 1, such as the overlap of all instances.
        """
        self._noted += 1
        rank = (-score, _labelled_px(picture), -self._noted)
        if len(self._heap) >= self._keep and rank < self._heap[0][:3]:
            return
        look = Look(name=picture.name, score=score, jpeg=_side_by_side(picture, tuple(said)))
        heapq.heappush(self._heap, (*rank, look))
        if len(self._heap) > self._keep:
            heapq.heappop(self._heap)

    def looks(self) -> tuple[Look, ...]:
        """Those that were kept, the worst first."""
        return tuple(h[-1] for h in sorted(self._heap, key=lambda h: h[:3], reverse=True))

    def write(self, folder: Path) -> list[dict[str, str | float]]:
        """Write them as JPEG files, numbered from the worst on.

        Returns:
            File, picture and score in per cent of each.

        Raises:
            EnvironmentProblem: the folder cannot be written.
        """
        rows: list[dict[str, str | float]] = []
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for number, look in enumerate(self.looks(), 1):
                name = "".join(c if c.isalnum() or c in "-_" else "_" for c in look.name)[-80:]
                file = folder / f"{number:02d}-{name}.jpg"
                file.write_bytes(look.jpeg)
                score = round(100 * look.score, 1)
                rows.append({"file": file.name, "picture": look.name, "score": score})
        except OSError as error:
            raise EnvironmentProblem(
                f"The pictures cannot be written to {folder}; give another folder.", str(error)
            ) from error
        return rows


def _labelled_px(picture: LabelledPicture) -> int:
    boxes = sum(round((x1 - x0) * (y1 - y0)) for _, (x0, y0, x1, y1) in picture.boxes)
    return boxes + sum(i.mask.area_px for i in picture.instances)


def _side_by_side(picture: LabelledPicture, said: Sequence[Instance]) -> bytes:
    style = report_style(find_taxonomy("unknown"), picture.rgb.shape[0])
    labelled = [ShownInstance(label=i.label, mask=i.mask) for i in picture.instances]
    labelled += [ShownInstance(label=label, mask=_frame(picture, box)) for label, box in
                 picture.boxes]  # fmt: skip
    shown = [ShownInstance(label=i.label, mask=i.mask, score=i.score) for i in said]
    both = [picture_with_overlay(picture.rgb, part, style) for part in (labelled, shown)]
    bgr = cv2.cvtColor(np.hstack(both), cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, _QUALITY))
    return data.tobytes()


def _frame(picture: LabelledPicture, box: tuple[float, float, float, float]) -> Mask:
    """A box as an empty frame, so that nobody takes it for an outline."""
    plane: NDArray[np.uint8] = np.zeros(picture.rgb.shape[:2], np.uint8)
    x0, y0, x1, y1 = (round(v) for v in box)
    edge = max(2, round(picture.rgb.shape[0] * _EDGE_SHARE))
    cv2.rectangle(plane, (x0, y0), (x1 - 1, y1 - 1), 1, edge)
    return Mask.from_full(plane.astype(bool))
