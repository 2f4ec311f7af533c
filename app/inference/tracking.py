"""Which instance of a frame is which object of the frames before.

Runs on the thread that owns the device. Greedy over pairs sorted by how well they agree in pixels,
box and class after the object has moved on as it did before. Deterministic; the state is small and
can be stored, so that a resumed analysis goes on counting where it stopped.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp

import numpy as np
from numpy.typing import NDArray

from app.core import validate
from app.core.mask import Mask
from app.core.prediction import Instance

_FORMAT = 1
_MASK_WEIGHT, _BOX_WEIGHT = 0.6, 0.4
_OTHER_CLASS_FACTOR = 0.6
_VELOCITY_SHARE = 0.5
_VELOCITY_FADES_MS = 300.0
# Outlines have five colours, given by the number: objects seen together shall not share one.
_APART = 5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Shape:
    """A mask on a coarse grid over the raster: left and top cell, bool (h, w)."""

    x: int
    y: int
    bits: NDArray[np.bool_]

    @property
    def centre(self) -> tuple[float, float]:
        """Centre of the region in cells."""
        h, w = self.bits.shape
        return self.x + w / 2, self.y + h / 2

    def shifted(self, dx: int, dy: int) -> _Shape:
        """The same cells elsewhere; may leave the raster."""
        return replace(self, x=self.x + dx, y=self.y + dy)


@dataclass(slots=True, kw_only=True)
class _Object:
    track: int
    label: str
    shape: _Shape
    seen_ms: float
    velocity: tuple[float, float] = (0.0, 0.0)

    def expected(self, time_ms: float) -> _Shape:
        """Where it should be by now, its movement fading out."""
        elapsed = time_ms - self.seen_ms
        reach = _VELOCITY_FADES_MS * (1 - exp(-elapsed / _VELOCITY_FADES_MS))
        vx, vy = self.velocity
        return self.shape.shifted(round(vx * reach), round(vy * reach))


class Tracker:
    """Numbers objects of one stream of frames, from 1, upward.

    Objects that live at once get numbers that leave different remainders by five, as long as
    there are no more than five; numbers are left out for it.

    Args:
        max_gap_ms: an object unseen for longer comes back under a new number.
        min_affinity: a pair that agrees less is no pair, 0 to 1.
    """

    def __init__(self, *, max_gap_ms: float = 1500.0, min_affinity: float = 0.08) -> None:
        validate.positive("Tracker.max_gap_ms", max_gap_ms)
        validate.in_range("Tracker.min_affinity", min_affinity, 0.0, 1.0)
        self._max_gap_ms = max_gap_ms
        self._min_affinity = min_affinity
        self._objects: list[_Object] = []
        self._next = 1

    def update(self, instances: Sequence[Instance], time_ms: float) -> tuple[Instance, ...]:
        """Give the instances of the next frame their numbers.

        Args:
            instances: of one frame; numbers they bear are replaced.
            time_ms: of that frame, later than that of the frame before.

        Returns:
            The same instances in the same order with ``track`` set.
        """
        self._forget(time_ms)
        shapes = [_shape(i.mask) for i in instances]
        numbers = self._matched(instances, shapes, time_ms)
        out = []
        for place, (instance, shape) in enumerate(zip(instances, shapes, strict=True)):
            track = numbers.get(place)
            if track is None:
                track = self._free_number()
                self._next = track + 1
            self._note(track, instance.label, shape, time_ms)
            out.append(replace(instance, track=track))
        return tuple(out)

    def follow(self, instances: Sequence[Instance], time_ms: float) -> None:
        """Take over a frame whose numbers are known, such as one that was stored before."""
        self._forget(time_ms)
        for instance in instances:
            if instance.track is not None:
                self._next = max(self._next, instance.track + 1)
                self._note(instance.track, instance.label, _shape(instance.mask), time_ms)

    @property
    def numbers_used(self) -> int:
        """The highest number given so far."""
        return self._next - 1

    def skip_to(self, number: int) -> None:
        """Give no new object a number up to and including this one."""
        self._next = max(self._next, number + 1)

    def snapshot(self) -> bytes:
        """The state, to be stored."""
        objects = [
            {
                "track": o.track,
                "label": o.label,
                "seen_ms": o.seen_ms,
                "velocity": o.velocity,
                "cell": (o.shape.x, o.shape.y),
                "size": o.shape.bits.shape,
                "bits": base64.b64encode(np.packbits(o.shape.bits).tobytes()).decode(),
            }
            for o in self._objects
        ]
        state = {"format": _FORMAT, "next": self._next, "objects": objects}
        return json.dumps(state, separators=(",", ":")).encode()

    def restore(self, state: bytes) -> None:
        """Go on from a snapshot.

        Raises:
            ValueError: the bytes are not a snapshot of this version.
        """
        try:
            data = json.loads(state)
            if data["format"] != _FORMAT:
                raise ValueError(f"tracker state of format {data['format']}")
            objects = [_object(o) for o in data["objects"]]
            self._next, self._objects = int(data["next"]), objects
        except (KeyError, TypeError) as error:
            raise ValueError("not a tracker state") from error

    def _free_number(self) -> int:
        taken = {o.track % _APART for o in self._objects}
        following = range(self._next, self._next + _APART)
        return next((n for n in following if n % _APART not in taken), self._next)

    def _matched(
        self, instances: Sequence[Instance], shapes: Sequence[_Shape], time_ms: float
    ) -> dict[int, int]:
        pairs = []
        for known in self._objects:
            expected = known.expected(time_ms)
            for place, (instance, shape) in enumerate(zip(instances, shapes, strict=True)):
                affinity = _affinity(expected, shape)
                if known.label != instance.label:
                    affinity *= _OTHER_CLASS_FACTOR
                if affinity >= self._min_affinity:
                    pairs.append((-affinity, known.track, place))
        numbers: dict[int, int] = {}
        taken: set[int] = set()
        for _, track, place in sorted(pairs):
            if place not in numbers and track not in taken:
                numbers[place] = track
                taken.add(track)
        return numbers

    def _note(self, track: int, label: str, shape: _Shape, time_ms: float) -> None:
        known = next((o for o in self._objects if o.track == track), None)
        if known is None:
            self._objects.append(_Object(track=track, label=label, shape=shape, seen_ms=time_ms))
            return
        elapsed = time_ms - known.seen_ms
        if elapsed > 0:
            (x0, y0), (x1, y1) = known.shape.centre, shape.centre
            old_x, old_y = known.velocity
            known.velocity = (
                old_x + _VELOCITY_SHARE * ((x1 - x0) / elapsed - old_x),
                old_y + _VELOCITY_SHARE * ((y1 - y0) / elapsed - old_y),
            )
        known.label, known.shape, known.seen_ms = label, shape, time_ms

    def _forget(self, time_ms: float) -> None:
        self._objects = [o for o in self._objects if time_ms - o.seen_ms <= self._max_gap_ms]


def _shape(mask: Mask) -> _Shape:
    """Every n-th pixel of a mask, on a grid of about 240 cells over the raster."""
    step = max(1, round(max(mask.width_px, mask.height_px) / 240))
    bits = mask.bits[-mask.y_px % step :: step, -mask.x_px % step :: step]
    if not bits.any():  # thinner than a cell
        bits = np.ones((1, 1), bool)
    return _Shape(x=-(-mask.x_px // step), y=-(-mask.y_px // step), bits=bits.copy())


def _affinity(a: _Shape, b: _Shape) -> float:
    """How well two regions agree, 0 to 1: overlap of pixels and of boxes."""
    (ah, aw), (bh, bw) = a.bits.shape, b.bits.shape
    x0, x1 = max(a.x, b.x), min(a.x + aw, b.x + bw)
    y0, y1 = max(a.y, b.y), min(a.y + ah, b.y + bh)
    if x0 >= x1 or y0 >= y1:
        return 0.0
    both_boxes = (x1 - x0) * (y1 - y0)
    box_iou = both_boxes / (ah * aw + bh * bw - both_boxes)
    common = a.bits[y0 - a.y : y1 - a.y, x0 - a.x : x1 - a.x]
    common = common & b.bits[y0 - b.y : y1 - b.y, x0 - b.x : x1 - b.x]
    both = int(np.count_nonzero(common))
    either = int(np.count_nonzero(a.bits)) + int(np.count_nonzero(b.bits)) - both
    return _MASK_WEIGHT * both / max(1, either) + _BOX_WEIGHT * box_iou


def _object(data: dict[str, object]) -> _Object:
    h, w = (int(v) for v in data["size"])  # type: ignore[attr-defined]
    x, y = (int(v) for v in data["cell"])  # type: ignore[attr-defined]
    packed = np.frombuffer(base64.b64decode(str(data["bits"])), np.uint8)
    bits = np.unpackbits(packed, count=h * w).reshape(h, w).astype(bool)
    vx, vy = (float(v) for v in data["velocity"])  # type: ignore[attr-defined]
    return _Object(
        track=int(data["track"]),  # type: ignore[call-overload]
        label=str(data["label"]),
        shape=_Shape(x=x, y=y, bits=bits),
        seen_ms=float(data["seen_ms"]),  # type: ignore[arg-type]
        velocity=(vx, vy),
    )
