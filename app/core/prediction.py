"""What a model said: instances of a frame, phase probabilities of a second. Never changed."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from app.core import validate
from app.core.course import Course
from app.core.mask import Mask

# Under this name a run's settings hold the model's course as text.
COURSE = "course"

# Under this name a run's settings hold the keys of its activities, joined by commas.
ACTIVITY_NAMES = "activities"

TOOL_NAMES = "tools"
"""Under this name a run's settings hold the keys of the tools whose presence its model tells,
joined by commas (see ``app.core.tools``)."""

FEATURES_OF = "features_of"
"""Under this name a run's settings hold the model whose stored frame features it was made from: it
looked at the whole recording at once."""

LIVE = "live"
"""A run whose settings hold this name was made while the recording went on."""

SEGMENTATION = "instance-segmentation"
"""The task of models that outline instruments, as their cards name it."""

ACTIVITIES = "activity-and-segmentation"
"""The task of models that name the activity in a frame, outline its areas, or both."""

PHASES = "phase-recognition"
"""The task of models that name the phase of every second."""

ANTICIPATION = "phase-anticipation"
"""The task of models that foresee what follows and when (see ``app.core.foreseen``)."""

RETRIEVAL = "retrieval"
"""The task of models that make one vector of a picture, to find others like it by."""

ENHANCEMENT = "enhancement"
"""The task of models that change how the picture is seen, never what is stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One object in one frame.

    Attributes:
        label: class key of the taxonomy or of the model's card, such as ``grasper``.
        mask: its pixels, in the asset's raster.
        score: confidence 0 to 1 of the model, None for a human's.
        track: number of the object within the run or case, None when not tracked.
    """

    label: str
    mask: Mask
    score: float | None = None
    track: int | None = None

    def __post_init__(self) -> None:
        validate.not_empty("Instance.label", self.label)
        if self.score is not None:
            validate.in_range("Instance.score", self.score, 0.0, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class FramePrediction:
    """All instances that a run found in one frame.

    Attributes:
        pts, index: which frame (see ``app.core.frame.Frame``).
        instances: highest score first.
        computed_ms: milliseconds that the frame took, decode excluded.
    """

    pts: int
    index: int
    instances: tuple[Instance, ...]
    computed_ms: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PhasePrediction:
    """Phase probabilities at one sampled frame (1 per second unless the card says otherwise).

    Attributes:
        pts, index: the frame that was looked at.
        probabilities: one per class of the run, in the card's order, summing to 1.
    """

    pts: int
    index: int
    probabilities: tuple[float, ...]

    def __post_init__(self) -> None:
        validate.not_empty("PhasePrediction.probabilities", self.probabilities)
        if not all(map(isfinite, self.probabilities)):
            raise ValueError("PhasePrediction.probabilities: expected numbers that are finite")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One model with its settings over one asset.

    Attributes:
        run_id: number within the case's prediction file.
        asset_id: which asset was analysed.
        model: the card's name.
        task: the card's task, such as ``instance-segmentation``.
        weights_sha256: hash of the checkpoint.
        classes: class keys in output order.
        settings: thresholds, input size, device and the like, for provenance.
        sample_every: frames between two looked-at frames (1 = every frame), or 0 for 1 a second.
        frames_expected: how many frames the finished run holds.
        finished: the whole asset has been looked at.
    """

    run_id: int
    asset_id: str
    model: str
    task: str
    weights_sha256: str
    classes: tuple[str, ...]
    settings: dict[str, str | int | float | bool]
    sample_every: int
    frames_expected: int
    finished: bool = False

    @property
    def course(self) -> Course | None:
        """How the operations that the model was made for go on; None where it does not say.

        Raises:
            ValueError: the settings hold something else under that name.
        """
        text = self.settings.get(COURSE)
        return None if text is None else Course.from_text(str(text))

    @property
    def is_offline(self) -> bool:
        """Whether the model knew the whole recording when it named its first phase."""
        return FEATURES_OF in self.settings

    @property
    def was_live(self) -> bool:
        """Whether it was said beside the live picture, of the frames that the machine managed."""
        return bool(self.settings.get(LIVE))

    @property
    def activities(self) -> tuple[str, ...]:
        """Keys of the activities that the run's probabilities are of, where it tells any apart."""
        return _names(self.settings.get(ACTIVITY_NAMES))

    @property
    def tools(self) -> tuple[str, ...]:
        """Keys of the tools whose presence the run tells, where it tells of any."""
        return _names(self.settings.get(TOOL_NAMES))


def _names(joined: object) -> tuple[str, ...]:
    return tuple(str(joined).split(",")) if joined else ()
