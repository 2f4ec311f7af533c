"""Phantom videos: a scripted operation drawn frame by frame, with tracks, masks and phases.

Frames come one after the other at any rate; at one a second a whole operation is quick to draw,
for learning phases. Runs on the caller's thread.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from app.learning.phantom import effects, material, noise
from app.learning.phantom.actors import Actor, wander
from app.learning.phantom.case import Case, Shot
from app.learning.phantom.compose import place_on
from app.learning.phantom.script import PHASES, Procedure, write_procedure
from app.learning.phantom.stills import TOOLS, PhantomInstance, presence_of

SMALLEST_SHARE = 0.0008


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomFrame:
    """One frame of a phantom video and its truth.

    Attributes:
        index: number of the frame, from 0.
        seconds: its time in the operation.
        rgb: uint8 (H, W, 3).
        instances: what shows of each instrument, with its track.
        presence: bool (7,), which of `TOOLS` show; agrees with the masks.
        phase: key of the phase.
        away: whether the scope is out of the body.
    """

    index: int
    seconds: float
    rgb: np.ndarray
    instances: tuple[PhantomInstance, ...]
    presence: np.ndarray
    phase: str
    away: bool


class PhantomVideo:
    """One operation, drawn frame by frame.

    Args:
        seed: chooses the operation and its look.
        fps: frames per second.
        size_px: width and height in pixels.
        start_s: first second to draw.
        seconds: how long; to the end of the operation where None.
        procedure: a script to follow in place of the seed's own.
    """

    def __init__(
        self,
        seed: int,
        *,
        fps: float = 25.0,
        size_px: tuple[int, int] = (854, 480),
        start_s: float = 0.0,
        seconds: float | None = None,
        procedure: Procedure | None = None,
    ) -> None:
        self.procedure = procedure or write_procedure(seed)
        self.fps = fps
        self._size = (size_px[1], size_px[0])
        self._start_s = start_s
        left = self.procedure.seconds - start_s
        self.frames = max(round((left if seconds is None else min(seconds, left)) * fps), 0)
        self._scale = next((g for g in (0.25, 0.5) if 960 * g >= 1.2 * size_px[0]), 1.0)
        self._case = Case(seed, self.procedure, self._size)
        self._tissue: np.ndarray | None = None
        self._shot: Shot | None = None
        self._smoke = 0.0

    def __len__(self) -> int:
        return self.frames

    def __iter__(self) -> Iterator[PhantomFrame]:
        # What burnt and smoked in an earlier pass has not happened yet.
        self._tissue, self._shot, self._smoke = None, None, 0.0
        for index in range(self.frames):
            # A frame stands for the middle of its time, so that one a second sees each tool.
            seconds = self._start_s + (index + 0.5) / self.fps
            yield self._frame(index, seconds)

    def _frame(self, index: int, seconds: float) -> PhantomFrame:
        rng = np.random.default_rng([self._case.seed, 5, round(seconds * 1000)])
        away = self._case.away_at(seconds)
        masks: list[np.ndarray] = []
        actors: list[Actor] = []
        if away is None:
            frame, actors, masks = self._inside(seconds)
        else:
            frame = self._outside(seconds, away)
        instances = tuple(
            PhantomInstance(key=actor.key, mask=mask, track=actor.track)
            for actor, mask in zip(actors, masks, strict=True)
            if mask.mean() >= SMALLEST_SHARE
        )
        effects.grain_on(frame, rng, self._case.grain)
        return PhantomFrame(
            index=index,
            seconds=seconds,
            rgb=self._case.bordered(effects.to_bytes(frame), whole=away is not None),
            instances=instances,
            presence=presence_of([i.key for i in instances]),
            phase=self.procedure.phase_at(seconds),
            away=away is not None,
        )

    def _inside(self, seconds: float):
        shot = self._case.shot_at(seconds)
        if shot is not self._shot:
            self._shot, self._tissue = shot, self._case.tissue(shot, self._scale)
        view = self._case.view
        width = self._size[1]
        actors = self._case.actors_at(seconds)
        self._work(shot, seconds, actors)
        matrix = shot.camera.matrix(seconds, self._size, self._scale, shot.rush(seconds))
        frame = self._look(matrix, seconds, actors)
        masks = place_on(frame, [a.placed(seconds, view, width) for a in actors], view)
        light = 1 + 0.05 * wander(self._case.course, seconds, 3.0)
        frame *= effects.falloff(self._size, view, self._case.falloff) * np.float32(light)
        self._veil(frame, seconds, actors)
        before = shot.camera.matrix(
            seconds - 0.5 / max(self.fps, 20),
            self._size,
            self._scale,
            shot.rush(seconds - 0.5 / max(self.fps, 20)),
        )
        centre = np.array([480.0, 270.0, 1 / self._scale]) * self._scale
        frame = effects.motion_blur(frame, *((matrix - before) @ centre))
        if self._case.blur > 0.25:
            frame = cv2.GaussianBlur(frame, (0, 0), self._case.blur)
        frame = effects.apply_grade(frame, *self._case.grade)
        inside = self._case.round_view > 127
        frame *= (self._case.round_view * np.float32(1 / 255))[..., None]
        return frame, actors, [mask & inside for mask in masks]

    def _look(self, matrix: np.ndarray, seconds: float, actors: list[Actor]) -> np.ndarray:
        """The tissue through the camera, breathing, and pulled along by what touches it."""
        height, width = self._size
        inverse = cv2.invertAffineTransform(matrix)
        grid_h, grid_w = 9, 16
        rows, columns = np.indices((grid_h, grid_w), np.float32)
        x, y = columns * (width - 1) / (grid_w - 1), rows * (height - 1) / (grid_h - 1)
        course = self._case.course
        phase = 2 * np.pi * seconds / 4.2
        heave = 0.006 * width
        dx = heave * np.sin(phase + columns * 0.35 + course) * np.cos(rows * 0.4 + course)
        dy = heave * 1.3 * np.sin(phase + 0.5 + columns * 0.25 + rows * 0.3)
        for actor in actors:
            pull = 0.012 * width
            tip = actor.pose(seconds, self._case.view, width).tip
            near = np.exp(-((x - tip[0]) ** 2 + (y - tip[1]) ** 2) / (2 * (0.13 * width) ** 2))
            dx = dx - near * pull * wander(actor.course, seconds, 1.9)
            dy = dy - near * pull * wander(actor.course + 2, seconds, 1.7)
        x, y = x + dx, y + dy
        map_x = (inverse[0, 0] * x + inverse[0, 1] * y + inverse[0, 2]).astype(np.float32)
        map_y = (inverse[1, 0] * x + inverse[1, 1] * y + inverse[1, 2]).astype(np.float32)
        map_x = _spread(map_x, (height, width))
        map_y = _spread(map_y, (height, width))
        return cv2.remap(
            self._tissue, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
        )

    def _work(self, shot: Shot, seconds: float, actors: list[Actor]) -> None:
        """Mark the tissue where a hook burns or scissors cut; about once in three seconds."""
        step = 1 / self.fps
        for actor in actors:
            if actor.key not in ("hook", "bipolar", "scissors", "irrigator"):
                continue
            beat = (seconds + actor.course) / 3.0
            if int(beat) == int(beat - step / 3.0) or seconds - actor.start_s < 1:
                continue
            rng = np.random.default_rng([self._case.seed, 9, int(beat), actor.track])
            if rng.random() < 0.5:
                continue
            matrix = shot.camera.matrix(seconds, self._size, self._scale)
            tip = actor.pose(seconds, self._case.view, self._size[1]).tip
            at = cv2.invertAffineTransform(matrix) @ np.array([*tip, 1.0])
            burns = actor.key in ("hook", "bipolar")
            span = rng.uniform(0.012, 0.03) if burns else rng.uniform(0.02, 0.05)
            effects.blood_on(
                self._tissue, rng, near=at, span=span, char=burns and rng.random() < 0.7
            )

    def _veil(self, frame: np.ndarray, seconds: float, actors: list[Actor]) -> None:
        """Smoke that rises while something burns, and dirt on the lens."""
        burning = any(a.key in ("hook", "bipolar") for a in actors)
        course = self._case.course
        spell = max(wander(course + 20, seconds, 6.0) - 0.25, 0.0) if burning else 0.0
        settle = 1 - np.exp(-1 / (self.fps * (1.5 if spell * 0.6 > self._smoke else 6.0)))
        self._smoke += settle * (spell * 0.75 - self._smoke)
        if self._smoke > 0.02:
            field = _drifting(course, seconds, (27, 48))
            density = np.clip((0.3 + field) * self._smoke, 0, 0.85).astype(np.float32)
            effects.smoke_on(frame, _spread(density, self._size))
        dirty = self._case.dirt_at(seconds)
        if dirty is not None:
            effects.dirt_on(frame, dirty)

    def _outside(self, seconds: float, away: tuple[str, float, float]) -> np.ndarray:
        """What the camera sees out of the body: room, drapes, the inside of a trocar, black."""
        name, since, left = away
        height, width = self._size
        if name == "black":
            return np.full((height, width, 3), 0.012, np.float32)
        pixels, _ = material.labelled(name, self._scale)
        course = self._case.course
        cover = max(height / 540, width / 960) / self._scale
        zoom = cover * (1.12 + 0.08 * wander(course + 30, seconds, 2.0))
        angle = 0.12 * wander(course + 31, seconds, 1.5)
        c, s = np.cos(angle) * zoom, np.sin(angle) * zoom
        turn = np.array([[c, -s], [s, c]])
        middle = np.array([480.0, 270.0]) * self._scale
        sway = np.array([wander(course + 32, seconds, 0.9), wander(course + 33, seconds, 0.8)])
        shift = np.array([width / 2, height / 2]) + 0.05 * width * sway - turn @ middle
        frame = cv2.warpAffine(
            pixels,
            np.column_stack([turn, shift]),
            (width, height),
            borderMode=cv2.BORDER_REFLECT_101,
        )
        frame = cv2.GaussianBlur(frame, (0, 0), 0.002 * width + 0.3).astype(np.float32) / 255
        fade = np.float32(np.clip(min(since, left) / 0.25, 0.02, 1))
        return frame * fade


def _spread(small: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Enlarge a coarse grid whose corners are the frame's corners, float32."""
    columns, rows = _spread_maps(small.shape, size)
    return cv2.remap(small.astype(np.float32), columns, rows, cv2.INTER_LINEAR)


@functools.lru_cache(maxsize=16)
def _spread_maps(grid: tuple[int, int], size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    columns = np.linspace(0, grid[1] - 1, size[1], dtype=np.float32)
    rows = np.linspace(0, grid[0] - 1, size[0], dtype=np.float32)
    across, down = np.meshgrid(columns, rows)
    return across, down


def _drifting(course: float, seconds: float, size: tuple[int, int]) -> np.ndarray:
    field = noise.cloud(4)
    x = (course * 53 + seconds * 9) % 512
    y = (course * 31 - seconds * 14) % 512
    rows = (np.arange(size[0]) * 3 + int(y)) % 512
    columns = (np.arange(size[1]) * 3 + int(x)) % 512
    return field[np.ix_(rows, columns)]


class ProcedureStream:
    """A whole operation at one frame a second, small, for learning phases.

    Iterating gives (rgb uint8 (H, W, 3), index into `PHASES`, presence bool (7,)) per second; the
    16:9 picture is stretched to `size_px` (width, height), as a phase network sees it.
    """

    def __init__(self, seed: int, size_px: tuple[int, int] = (112, 112)) -> None:
        self._size_px = size_px
        height = max(size_px[1], 90)
        wide = (round(height * 16 / 9 / 2) * 2, height)
        self.video = PhantomVideo(seed, fps=1.0, size_px=wide)
        self.procedure = self.video.procedure

    def __len__(self) -> int:
        return len(self.video)

    def __iter__(self) -> Iterator[tuple[np.ndarray, int, np.ndarray]]:
        for frame in self.video:
            rgb = cv2.resize(frame.rgb, self._size_px, interpolation=cv2.INTER_AREA)
            yield rgb, PHASES.index(frame.phase), frame.presence


__all__ = ["PHASES", "TOOLS", "PhantomFrame", "PhantomVideo", "ProcedureStream"]
