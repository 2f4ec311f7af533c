"""Who moves in a phantom video: instruments on their ports and the wandering camera.

Everything is a function of time and of numbers drawn once, so any frame can be drawn by itself.
"""

from dataclasses import dataclass

import numpy as np

from app.learning.phantom.compose import Look, Placed
from app.learning.phantom.instruments import Instrument, Pose

_TABLE = np.random.default_rng(11).uniform(-1, 1, 4096)
ENTER_S = 0.55


def wander(key: float, seconds: float, period_s: float) -> float:
    """Smooth noise over time in -1..1; other keys give other courses."""
    at = key * 97.31 + seconds / period_s
    whole = int(np.floor(at))
    part = at - whole
    part = part * part * (3 - 2 * part)
    first, second = _TABLE[whole % 4096], _TABLE[(whole + 1) % 4096]
    return float(first + (second - first) * part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """Where an instrument goes through the wall, far outside the view (in view radii)."""

    x: float
    y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """One instrument from entering to leaving the view.

    `home` is where its tip works, in view radii from the middle of the view; `scale` turns the
    instrument's pixels into shares of the frame width.
    """

    key: str
    track: int
    start_s: float
    end_s: float
    instrument: Instrument
    look: Look
    port: Port
    home: tuple[float, float]
    scale: float
    course: float

    def pose(self, seconds: float, view: tuple[float, float, float], width_px: int) -> Pose:
        """Where it is at this moment, in pixels of a frame `width_px` wide."""
        radius = min(view[2], 0.55 * width_px)
        x, y = self._tip(seconds)
        into = self._into(seconds)
        # Leaving draws the tip back along the shaft until it is out of view.
        away = np.array([x - self.port.x, y - self.port.y])
        unit = away / np.hypot(*away)
        back = (1 - into) * 2.1 * unit
        tip = (view[0] + radius * (x - back[0]), view[1] + radius * (y - back[1]))
        depth = 1 + 0.1 * wander(self.course + 5, seconds, 5.0) - 0.05 * (1 - into)
        return Pose(
            tip=(float(tip[0]), float(tip[1])),
            angle=float(np.arctan2(unit[1], unit[0])),
            scale=self.scale * width_px * depth,
            opening=self._opening(seconds),
            bend=0.05 * wander(self.course + 6, seconds, 4.0),
        )

    def placed(self, seconds: float, view: tuple[float, float, float], width_px: int) -> Placed:
        """The instrument, ready to be laid over a frame."""
        pose = self.pose(seconds, view, width_px)
        return Placed(instrument=self.instrument, pose=pose, look=self.look, track=self.track)

    def _into(self, seconds: float) -> float:
        span = min(ENTER_S, 0.3 * (self.end_s - self.start_s))
        share = min((seconds - self.start_s) / span, (self.end_s - seconds) / span, 1.0)
        share = max(share, 0.0)
        return share * share * (3 - 2 * share)

    def _tip(self, seconds: float) -> tuple[float, float]:
        slow, quick = MOTION.get(self.key, (0.1, 0.0))
        c = self.course
        x = self.home[0] + slow * wander(c, seconds, 3.1) + 0.4 * slow * wander(c + 1, seconds, 1.1)
        y = (
            self.home[1]
            + slow * wander(c + 2, seconds, 2.7)
            + 0.4 * slow * wander(c + 3, seconds, 0.9)
        )
        if quick:
            busy = max(wander(c + 4, seconds, 2.2), 0.0)
            x += quick * busy * np.sin(7.0 * seconds + c)
            y += 0.7 * quick * busy * np.sin(6.1 * seconds + 2 * c)
        tremor = 0.004
        return (
            x + tremor * wander(c + 7, seconds, 0.15),
            y + tremor * wander(c + 8, seconds, 0.15),
        )

    def _opening(self, seconds: float) -> float:
        period = {"scissors": 1.4, "clipper": 2.5, "grasper": 4.0, "bipolar": 2.0}.get(
            self.key, 3.0
        )
        return float(np.clip(0.4 + 0.8 * wander(self.course + 9, seconds, period), 0, 1))


# How far a tip roams slowly, and strokes quickly, in view radii.
MOTION = {
    "grasper": (0.09, 0.0),
    "hook": (0.1, 0.025),
    "bipolar": (0.12, 0.0),
    "scissors": (0.1, 0.0),
    "clipper": (0.1, 0.0),
    "irrigator": (0.16, 0.05),
    "specimen_bag": (0.06, 0.0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """A scope held by hand over one plate: a base view of it and slow wandering around it."""

    course: float
    turn: float
    zoom: float
    mirror: float
    at: tuple[float, float]

    def matrix(
        self, seconds: float, size: tuple[int, int], plate_scale: float, rush: float = 0.0
    ) -> np.ndarray:
        """Maps plate pixels to frame pixels, float64 (2, 3); `rush` sweeps it aside."""
        height, width = size
        c = self.course
        cover = max(height / 540, width / 960)
        breath = 0.006 * np.sin(2 * np.pi * seconds / 4.2 + c)
        zoom = self.zoom * (1 + 0.05 * wander(c, seconds, 7.0) + breath)
        angle = self.turn + 0.035 * wander(c + 1, seconds, 6.0)
        scale = cover * zoom / plate_scale
        cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
        turn = np.array([[cos, -sin], [sin, cos]]) * np.array([self.mirror, 1.0])
        sway = 0.022 * wander(c + 2, seconds, 5.0) + 0.003 * wander(c + 3, seconds, 0.5)
        heave = 0.02 * wander(c + 4, seconds, 4.4) + 0.003 * wander(c + 5, seconds, 0.45)
        middle = np.array([960 * (0.5 + self.at[0]), 540 * (0.5 + self.at[1])]) * plate_scale
        shift = np.array([width * (0.5 + sway + rush), height / 2 + width * heave])
        return np.column_stack([turn, shift - turn @ middle])
