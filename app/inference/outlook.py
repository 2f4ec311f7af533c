"""What a forecasting network says, as numbers on the host and as rows to be stored. Any thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app.core.foreseen import QUANTILES, Foreseen

if TYPE_CHECKING:
    from models.supra import Forecast, Supra
    from models.surgfutr import Foreseen as Events


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outlook:
    """What T frames let foresee.

    Attributes:
        next_probabilities: float64 (T, K + 1), rows that sum to 1; K is the recording's end.
        minutes_to: float64 (T, K), in [0, horizon], or (T, 0) where no times to phases are told:
            before then a phase begins as likely as not, and the horizon stands for likelier not
            within it.
        minutes_left: float64 (T, 3), ascending quantiles, at least 0.
        shares_of_times: float64 (T, K, parts + 2), what ``minutes_to`` was made from (see
            ``models.supra.timing``); (T, 0, 0) without.
    """

    next_probabilities: NDArray[np.float64]
    minutes_to: NDArray[np.float64]
    minutes_left: NDArray[np.float64]
    shares_of_times: NDArray[np.float64]

    def rows(self, pts: Sequence[int], indices: Sequence[int]) -> list[Foreseen]:
        """One row per frame, ready for ``put_foreseen``."""
        left = np.maximum.accumulate(self.minutes_left, axis=1)
        return [
            Foreseen(
                pts=at,
                index=index,
                next_probabilities=tuple(following.tolist()),
                minutes_to=tuple(to.tolist()),
                minutes_left=(float(low), float(middle), float(high)),
            )
            for at, index, following, to, (low, middle, high) in zip(
                pts, indices, self.next_probabilities, self.minutes_to, left, strict=True
            )
        ]


def outlook_of(network: Supra, forecast: Forecast) -> Outlook:
    """The forecast of one recording (batch 1) off the device."""
    return Outlook(
        next_probabilities=forecast.next_logits[0].double().softmax(-1).cpu().numpy(),
        minutes_to=network.minutes_to(forecast)[0].double().cpu().numpy(),
        minutes_left=forecast.minutes_left[0].double().cpu().numpy(),
        shares_of_times=network.shares_of_times(forecast)[0].double().cpu().numpy(),
    )


def outlook_of_events(said: Events) -> Outlook:
    """What was foreseen from T clips, off the device: no times to phases, and no spread."""
    left = said.minutes_left.double().cpu().numpy()
    return Outlook(
        next_probabilities=said.events.double().softmax(-1).cpu().numpy(),
        minutes_to=np.zeros((len(left), 0)),
        minutes_left=np.repeat(left[:, None], len(QUANTILES), axis=1),
        shares_of_times=np.zeros((len(left), 0, 0)),
    )
