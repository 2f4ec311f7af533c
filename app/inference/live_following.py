"""The operation that runs live, followed from look to look: its phases and what comes next.

For the thread that owns the device. What is carried is of one operation and is let go of before
another one: the networks' states, the course so far, and when the last look was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app.core.foreseen import Foreseen
from app.core.prediction import PhasePrediction
from app.core.recording import LIVE_TIME_BASE
from app.inference.live_phase import LivePhase

if TYPE_CHECKING:
    from app.inference.forecast_stream import ForecastStream
    from app.inference.phases import PhaseStream
    from app.video.live.state import LiveFrame

# A recording in which nothing came for so long is ended as well.
_LONGEST_SILENCE_PTS = round(6 * 3600 / LIVE_TIME_BASE)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Seen:
    """What one look says of the operation.

    Attributes:
        phase: its probabilities.
        foreseen: what comes next, None where no model foresees.
        tools: float16 (M,), how likely each tool is in the frame; None where the model of the
            phases tells of none.
    """

    phase: PhasePrediction
    foreseen: Foreseen | None
    tools: NDArray[np.float16] | None


class Following:
    """Follows one operation, until ``begin_anew``.

    Args:
        stream: that names its phases.
        forecast: that reads the stream's features, None where no model foresees.

    Attributes:
        stream, forecast: as given.
    """

    def __init__(self, stream: PhaseStream, forecast: ForecastStream | None = None) -> None:
        self.stream, self.forecast = stream, forecast
        self._rate = stream.card.frames_per_second or 1.0
        self._step_pts = round(1 / LIVE_TIME_BASE / self._rate)
        self._now = self._first()
        self._looked_pts: int | None = None

    @property
    def phase(self) -> str | None:
        """Key of the phase that runs now, None before the first look."""
        return self._now.phase

    def begin_anew(self) -> None:
        """What was seen so far is of an operation that is over."""
        self.stream.reset()
        if self.forecast is not None:
            self.forecast.reset()
        self._now = self._first()
        self._looked_pts = None

    def is_over_before(self, pts: int) -> bool:
        """Whether a frame at ``pts`` is of another operation.

        Time that goes back is of another source, and no recording goes on over so long a silence.
        """
        last = self._looked_pts
        return last is not None and not 0 <= pts - last <= _LONGEST_SILENCE_PTS

    def look(self, picture: LiveFrame) -> Seen | None:
        """One look each time the model's step has passed on the recording's clock, else None."""
        before = picture.pts - self._step_pts if self._looked_pts is None else self._looked_pts
        steps = (picture.pts - before) // self._step_pts
        if steps == 0:
            return None
        # Whole steps, so that looks do not drift.
        self._looked_pts = before + steps * self._step_pts
        probabilities = self.stream.step(picture.rgb)
        self._now.step(probabilities, steps)
        foreseen = None
        if self.forecast is not None and self.stream.features is not None:
            foreseen = self.forecast.step(self.stream.features, picture.pts, picture.number)
        return Seen(
            phase=PhasePrediction(
                pts=picture.pts, index=picture.number, probabilities=tuple(probabilities.tolist())
            ),
            foreseen=foreseen,
            tools=self.stream.tools,
        )

    def _first(self) -> LivePhase:
        return LivePhase(self.stream.card.class_keys, self.stream.course, self._rate)
