"""Where sound goes: the system's device through PortAudio. Used by the thread ``trocar-sound``.

No device is opened, and PortAudio is not even loaded, before somebody wants to hear something.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from app.core.errors import EnvironmentProblem

# So much sound waits in the device: enough for a busy moment, gone at once when it is stopped.
_BUFFER_S = 0.1
_CHANNELS = 2

NO_PORTAUDIO = (
    "Sound cannot be played: PortAudio is not installed; on Debian and Ubuntu it comes with "
    "“apt-get install libportaudio2”. Everything else works without it."
)
NO_DEVICE = (
    "Sound cannot be played: the system has no loudspeaker that can be used; choose one in the "
    "system's sound settings and turn the sound on again."
)


class Sink(Protocol):
    """Takes stereo float32 samples at one rate and plays them one after another.

    Attributes:
        rate_hz: samples per second.
    """

    rate_hz: int

    def start(self) -> None:
        """Get ready to play; nothing to do where it plays already."""

    def delay_s(self) -> float:
        """In how many seconds a sample that is written now is heard; it is started."""

    def write(self, samples: NDArray[np.float32]) -> None:
        """Play float32 (N, 2), -1 to 1; returns when there is room for more."""

    def stop(self) -> None:
        """Fall silent at once; what waits is dropped."""

    def close(self) -> None:
        """Give the device back."""


class PortAudioSink:
    """The system's standard output device.

    Raises:
        EnvironmentProblem: PortAudio is not installed, or there is no device.
    """

    def __init__(self) -> None:
        self._audio = _portaudio()
        try:
            # PortAudio looks for devices once: without this, one plugged in later is not known.
            self._audio._terminate()
            self._audio._initialize()
            device = self._audio.query_devices(kind="output")
            self.rate_hz = int(device["default_samplerate"])
            self._stream = self._audio.RawOutputStream(
                samplerate=self.rate_hz,
                channels=min(_CHANNELS, int(device["max_output_channels"])),
                dtype="float32",
                latency=_BUFFER_S,
            )
        except (self._audio.PortAudioError, ValueError) as error:
            raise EnvironmentProblem(NO_DEVICE, repr(error)) from error

    def start(self) -> None:
        """Get ready to play; see ``Sink``."""
        with self._told():
            if not self._stream.active:
                self._stream.start()

    def delay_s(self) -> float:
        """In how many seconds a sample that is written now is heard."""
        with self._told():
            room_s = self._stream.write_available / self.rate_hz
        return max(0.0, float(self._stream.latency) - room_s)

    def write(self, samples: NDArray[np.float32]) -> None:
        """Play float32 (N, 2); returns when there is room for more."""
        if self._stream.channels == 1:
            samples = samples.mean(axis=1, keepdims=True)
        with self._told():
            self._stream.write(np.ascontiguousarray(samples, np.float32))

    def stop(self) -> None:
        """Fall silent at once."""
        with self._told():
            if self._stream.active:
                self._stream.abort()

    def close(self) -> None:
        """Give the device back."""
        self._stream.close(ignore_errors=True)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except self._audio.PortAudioError as error:
            raise EnvironmentProblem(NO_DEVICE, repr(error)) from error


def sound_problem() -> str:
    """Why no sound can be played on this machine, in a sentence; "" where it can."""
    try:
        PortAudioSink().close()
    except EnvironmentProblem as error:
        return error.user_message
    return ""


def _portaudio() -> ModuleType:
    try:
        import sounddevice
    except (ImportError, OSError) as error:  # OSError: the shared library is missing
        raise EnvironmentProblem(NO_PORTAUDIO, repr(error)) from error
    return sounddevice
