"""Phase recognition of a stream of frames through the network's carried state.

One object belongs to the thread that owns the device. The scan is serial: one thread, two collide
(specs: measured); on a processor other threads look at the frames that come next, each at one of
its own. What is stored is what the network says; smoothing is for display alone.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from app.core.course import Course
from app.core.errors import BadInput
from app.core.prediction import COURSE
from app.inference import device as devices
from app.inference.cards import load_network, settings_of_tools
from app.inference.carried import packed, unpacked
from app.inference.device import DeviceChoice
from app.inference.engines.eager import normalised
from app.inference.placed import PlacedNetwork
from app.inference.preprocess import resized
from models import ModelCard

_THREADS = 1
_Told = tuple[NDArray[np.float64], NDArray[np.float16], NDArray[np.float16] | None, Any]
# What frames are by themselves is over half the work; more threads would wait for the stream.
_MOST_LOOKING = 4


class _Look:
    """A frame that a thread is to look at, or has looked at."""

    def __init__(self, look: Callable[[], Any], others: ThreadPoolExecutor) -> None:
        self._look, self._seen = look, others.submit(look)

    @property
    def seen(self) -> bool:
        """Whether it was looked at."""
        return self._seen.done()

    def take(self) -> None:
        """Look at it on this thread, unless another one has begun."""
        if self._seen.cancel():
            self._seen = Future()
            self._seen.set_result(self._look())

    def result(self) -> Any:
        """What was seen; waits for it."""
        return self._seen.result()


class PhaseStream:
    """A loaded phase model and where it stands in one video.

    Args:
        card: a model of the task ``phase-recognition`` with weights.
        device: where to run; chosen when None.
        threads: of the processor; more than one look at frames that were shown before the stream
            comes to them.

    Attributes:
        card: as given.
        ahead: how many frames may be shown before the first is told; 0 where each is told at once.
        course: how the operations of the card's procedure go on, where the card says so.
        device: where it runs now; changes when a graphics card fails.
        features: float16 (C,), of the frame looked at last, what similar moments are found by;
            None before the first.
        tools: float16 (M,), how likely each tool of the card is in that frame; None before the
            first, and where the card names none.
        step_ms: what the last step took.

    Raises:
        BadInput: the model's weights are missing or damaged, or it does not look at pictures one
            by one.
    """

    def __init__(
        self, card: ModelCard, device: DeviceChoice | None = None, *, threads: int = 1
    ) -> None:
        if card.why_not_live:
            raise BadInput(f"{card.why_not_live} Analyse the recording with it.")
        self.card = card
        self.course = course_of(card)
        self._placed = PlacedNetwork(lambda: load_network(card))
        self.device = device or devices.choose_device()
        self._state: Any = None
        self.features: NDArray[np.float16] | None = None
        self.tools: NDArray[np.float16] | None = None
        self.step_ms = 0.0
        looking = min(threads, _MOST_LOOKING) - 1 if self.device.is_cpu else 0
        self._others = ThreadPoolExecutor(looking, "look") if looking else None
        # One more than there are others, so that this thread finds one to look at too.
        self.ahead = looking + 1 if looking else 0
        self._shown: deque[NDArray[np.uint8] | _Look] = deque()

    def step(self, rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Look at the next frame.

        Args:
            rgb: uint8 (H, W, 3), any size.

        Returns:
            float64 (classes,), probabilities that sum to 1.
        """
        self.show(rgb)
        return self.tell()

    def show(self, rgb: NDArray[np.uint8]) -> None:
        """Hand over the next frame (see ``step``), for ``tell`` to come to it in its turn."""
        if self._others is None:
            self._shown.append(rgb)
            return
        before = (0 if self._state is None else self._state.frames) + len(self._shown)
        self._shown.append(_Look(partial(self._look, rgb, before), self._others))

    def tell(self) -> NDArray[np.float64]:
        """What ``step`` returns, of the oldest frame that was shown and not told yet."""
        start = time.perf_counter()
        shown = self._shown.popleft()
        with devices.threads(_THREADS):
            if isinstance(shown, _Look):
                for other in (shown, *self._shown):  # rather than wait
                    if not shown.seen and isinstance(other, _Look):
                        other.take()
                found = self._follow(shown.result())
            else:
                picture = resized(shown, *self.card.input_size_px)
                found, self.device = devices.run_or_fall_back(
                    self.device, lambda choice: self._step(picture, choice)
                )
        logits, self.features, self.tools, self._state = found
        self.step_ms = 1000 * (time.perf_counter() - start)
        scores = np.exp(logits - logits.max())
        return scores / scores.sum()

    def close(self) -> None:
        """Let the other threads end; the stream is not shown anything any more."""
        if self._others is not None:
            self._others.shutdown(cancel_futures=True)
            self._others, self.ahead = None, 0
        self._shown.clear()

    def reset(self) -> None:
        """Stand before the first frame."""
        self._state = None

    def snapshot(self) -> bytes:
        """The carried state, to be stored; empty before the first step."""
        return packed(self._state)

    def restore(self, snapshot: bytes) -> None:
        """Stand where a snapshot was taken.

        Raises:
            BadInput: the bytes are not a state of this network.
        """
        self._state = unpacked(snapshot, self._placed.network)

    def describe(self) -> dict[str, str | int | float | bool]:
        """What decides the result, for provenance: kept with every run."""
        width, height = self.card.input_size_px
        return (
            settings_of_course(self.course)
            | settings_of_tools(self.card)
            | self.device.in_full_precision(_THREADS)
            | {
                "input_width_px": width,
                "input_height_px": height,
                "frames_per_second": self.card.frames_per_second or 1.0,
            }
        )

    def _step(self, picture: NDArray[np.uint8], choice: DeviceChoice) -> _Told:
        network = self._placed.on(choice)
        device = torch.device(choice.device)
        with torch.inference_mode():
            before = None if self._state is None else self._state.to(device)
            return self._told(network.advance(self._clip(picture, device), before))

    def _look(self, rgb: NDArray[np.uint8], before: int) -> Any:
        """One frame by itself, on a thread of its own."""
        picture = resized(rgb, *self.card.input_size_px)
        with devices.threads(_THREADS), torch.inference_mode():
            return self._placed.network.look(self._clip(picture, torch.device("cpu")), before)

    def _follow(self, looked: Any) -> _Told:
        with torch.inference_mode():
            return self._told(self._placed.network.follow(looked, self._state))

    def _clip(self, picture: NDArray[np.uint8], device: torch.device) -> torch.Tensor:
        frame = torch.from_numpy(picture).to(device).permute(2, 0, 1).unsqueeze(0)
        return normalised(frame.float().contiguous(), self.card).unsqueeze(2)

    def _told(self, found: Any) -> _Told:
        # Kept on the host, where a failing card cannot take it along.
        logits = found.logits[0, 0].double().cpu().numpy()
        features = found.features[0, 0].half().cpu().numpy()
        return logits, features, self._tools_in(found), found.state.to(devices.CPU)

    def _tools_in(self, found: Any) -> NDArray[np.float16] | None:
        """How likely each tool is in the frame, where the card names tools."""
        if not self.card.tools:
            return None
        logits = getattr(found, "tools", None)
        count = 0 if logits is None else logits.shape[-1]
        if logits is None or count != len(self.card.tools):
            raise BadInput(
                f"The card of {self.card.name} names {len(self.card.tools)} tools, and its network "
                f"tells of {count}; import the model again."
            )
        told: NDArray[np.float16] = logits[0, 0].float().sigmoid().half().cpu().numpy()
        return told


def settings_of_course(course: Course | None) -> dict[str, str | int | float | bool]:
    """A run's settings that hold a course."""
    return {} if course is None else {COURSE: course.as_text()}


def course_of(card: ModelCard) -> Course | None:
    """The course on a phase model's card, None where it has none.

    Raises:
        BadInput: what the card says is not a course of its classes.
    """
    if not card.course:
        return None
    try:
        course = Course.from_values(card.course)
        if len(course.start) != len(card.classes):
            raise ValueError(f"it speaks of {len(course.start)} phases")
    except ValueError as error:
        raise BadInput(
            f"The course of phases on the card of {card.name} cannot be used; import it again.",
            str(error),
        ) from error
    return course
