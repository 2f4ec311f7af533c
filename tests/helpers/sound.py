"""Clips that flash and beep at the same moments, and a sink that hears when each beep comes.

The sink's time passes only as far as a test lets it, so that no busy machine makes sound late.
"""

from __future__ import annotations

import threading
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from app.core.case import Asset
from app.video.clock import ClockReading, PlaybackClock
from app.video.file_source import FileSource

RATE_HZ = 48000
FRAME_RATE = 25
EVERY_S = 1.0
BEEP_S = 0.04
PATIENCE_S = 60.0
Heard = list[tuple[float, NDArray[np.float32]]]
SOUND_CODECS = {
    ".mp4": ("libx264", "aac"),
    ".mov": ("libx264", "pcm_s16le"),
    ".mkv": ("libx264", "libopus"),
    ".ts": ("mpeg2video", "mp2"),
    ".avi": ("mpeg4", "libmp3lame"),
    ".mpg": ("mpeg2video", "mp2"),
    ".flv": ("libx264", "aac"),
    ".webm": ("libvpx", "libopus"),
    ".mxf": ("mpeg2video", "pcm_s16le"),
    ".asf": ("msmpeg4", "aac"),
}


def beeps(seconds: float, rate_hz: int = RATE_HZ) -> NDArray[np.float32]:
    """Mono: 40 ms of 1 kHz at the beginning of every second."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    wave = 0.8 * np.sin(2 * np.pi * 1000 * t) * (t % EVERY_S < BEEP_S)
    return wave.astype(np.float32)


def beeping_clip(
    path: Path,
    seconds: float = 6.0,
    *,
    start_s: Fraction = Fraction(0),
    tracks: int = 1,
    sound_codec: str = "",
) -> Path:
    """A clip whose first frame of every second is white and beeps; the suffix says which kind.

    Args:
        start_s: time of the first frame and sample.
        tracks: how many sound tracks; the second one is silent.
        sound_codec: FFmpeg's encoder, "" for the usual one.
    """
    video_codec, usual = SOUND_CODECS[path.suffix]
    flags = {"movflags": "+negative_cts_offsets"} if path.suffix in (".mp4", ".mov") else {}
    options = {**flags, "avoid_negative_ts": "disabled"} if start_s else {}
    with av.open(str(path), "w", options=options) as out:
        video = out.add_stream(video_codec, rate=FRAME_RATE)
        video.width, video.height, video.pix_fmt, video.gop_size = 160, 96, "yuv420p", 25
        video.codec_context.thread_count = 1
        video.codec_context.max_b_frames = 0
        codec = sound_codec or usual
        sounds = [out.add_stream(codec, rate=RATE_HZ, layout="stereo") for _ in range(tracks)]
        packets: list[tuple[float, av.Packet]] = []

        def keep(made: list[av.Packet]) -> None:
            packets.extend((float(p.dts * p.time_base), p) for p in made if p.dts is not None)

        unit = Fraction(1, FRAME_RATE)
        for n in range(round(seconds * FRAME_RATE)):
            grey = 255 if n % FRAME_RATE == 0 else 16
            frame = av.VideoFrame.from_ndarray(np.full((96, 160, 3), grey, np.uint8))
            frame.pts, frame.time_base = n + int(start_s / unit), unit
            keep(video.encode(frame))
        keep(video.encode(None))
        for number, stream in enumerate(sounds):
            _encode(stream, beeps(seconds) * (number == 0), start_s, keep)
        for _, packet in sorted(packets, key=lambda p: p[0]):
            out.mux(packet)
    return path


def _encode(stream: av.AudioStream, wave: NDArray[np.float32], start_s: Fraction, keep) -> None:
    context = stream.codec_context
    resampler = av.AudioResampler(
        format=context.format.name, layout="stereo", rate=RATE_HZ, frame_size=context.frame_size
    )
    for at in range(0, len(wave), 4096):
        part = np.repeat(wave[at : at + 4096, None], 2, axis=1).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(part), "flt", "stereo")
        frame.sample_rate, frame.time_base = RATE_HZ, Fraction(1, RATE_HZ)
        frame.pts = at + round(start_s * RATE_HZ)
        for made in resampler.resample(frame):
            keep(stream.encode(made))
    for made in resampler.resample(None):
        keep(stream.encode(made))
    keep(stream.encode(None))


def onsets_s(samples: NDArray[np.float32], rate_hz: int = RATE_HZ) -> NDArray[np.float64]:
    """Seconds from the first sample at which a beep begins."""
    loud = np.abs(samples).max(axis=1) > 0.25
    at = np.flatnonzero(loud)
    starts = at[np.diff(at, prepend=-rate_hz) > rate_hz * 0.1]
    return starts / rate_hz


class SteppedSink:
    """A sink without a device. Time stands still but for ``run`` and ``idle``.

    Args:
        latency_s: of the device, behind what waits.
        buffer_s: how much may wait.
        fast: how much faster the device plays than it should, to make it drift.
    """

    def __init__(self, latency_s: float = 0.03, buffer_s: float = 0.1, fast: float = 1.0) -> None:
        self.rate_hz = RATE_HZ
        self.now_s = 100.0
        self.heard: Heard = []
        self.opened = self.closed = 0
        self._latency_s, self._buffer_s, self._fast = latency_s, buffer_s, fast
        self._until_s = self._end_s = self.now_s
        self._changed = threading.Condition()
        self._waiting = False
        self._playing = False

    def open(self) -> SteppedSink:
        """As the program opens a device."""
        self.opened += 1
        return self

    # A sink

    def start(self) -> None:
        with self._changed:
            self._playing = True

    def delay_s(self) -> float:
        with self._changed:
            return max(self._end_s - self.now_s, self._latency_s)

    def write(self, samples: NDArray[np.float32]) -> None:
        length_s = len(samples) / self.rate_hz / self._fast
        with self._changed:
            while self._end_s + length_s - self.now_s > self._latency_s + self._buffer_s:
                needed_s = self._end_s + length_s - self._latency_s - self._buffer_s
                if needed_s <= self._until_s:
                    self.now_s = needed_s
                    continue
                self._waiting = True
                self._changed.notify_all()
                assert self._changed.wait(PATIENCE_S)
            self._waiting = False
            start_s = max(self._end_s, self.now_s + self._latency_s)
            self.heard.append((start_s, samples.copy()))
            self._end_s = start_s + length_s

    def stop(self) -> None:
        with self._changed:
            self._playing = False
            self.heard = cut(self.heard, self.now_s, self.rate_hz * self._fast)
            self._end_s = self.now_s
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self.closed += 1
            self._playing = False
            self._changed.notify_all()

    # What a test does

    def run(self, seconds: float) -> None:
        """Let time pass while sound is written."""
        with self._changed:
            self._until_s = self.now_s + seconds
            self._waiting = False
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: self._waiting, PATIENCE_S), "nothing is written"
            self.now_s = self._until_s

    def idle(self, seconds: float = 0.5) -> None:
        """Let time pass until nothing is written any more."""
        with self._changed:
            self._until_s = self.now_s + seconds
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: not self._playing, PATIENCE_S), "it goes on"
            self.now_s = self._end_s = self._until_s

    def let_go(self) -> None:
        """Whoever waits to write waits no more."""
        with self._changed:
            self._until_s = float("inf")
            self._changed.notify_all()

    def beeps_s(self) -> list[float]:
        """When beeps began to be heard."""
        return beeps_in(self.heard, self.rate_hz * self._fast)


class PacedSink:
    """A sink without a device that takes as long as a real one."""

    def __init__(self, latency_s: float = 0.02, buffer_s: float = 0.1) -> None:
        self.rate_hz = RATE_HZ
        self.heard: Heard = []
        self._latency_s, self._buffer_s, self._end_s = latency_s, buffer_s, 0.0

    @property
    def now_s(self) -> float:
        return time.monotonic()

    def start(self) -> None:
        pass

    def delay_s(self) -> float:
        return max(self._end_s - self.now_s, 0.0) + self._latency_s

    def write(self, samples: NDArray[np.float32]) -> None:
        length_s = len(samples) / self.rate_hz
        time.sleep(max(0.0, self._end_s + length_s - self.now_s - self._buffer_s))
        start_s = max(self._end_s, self.now_s)
        self.heard.append((start_s + self._latency_s, samples.copy()))
        self._end_s = start_s + length_s

    def stop(self) -> None:
        self.heard = cut(self.heard, self.now_s, self.rate_hz)
        self._end_s = 0.0

    def close(self) -> None:
        pass

    def beeps_s(self) -> list[float]:
        """When beeps began to be heard."""
        return beeps_in(self.heard, self.rate_hz)


def cut(heard: Heard, at_s: float, rate_hz: float) -> Heard:
    """What is heard of it when everything that waits is dropped at a moment."""
    kept = [(start_s, s[: max(0, int((at_s - start_s) * rate_hz))]) for start_s, s in heard[-20:]]
    return heard[:-20] + [(start_s, s) for start_s, s in kept if len(s)]


def beeps_in(heard: Heard, rate_hz: float) -> list[float]:
    """When beeps began, in what was heard from certain moments on; without cut-off beginnings."""
    found: list[float] = []
    loud_until_s = silent_until_s = -1.0
    for start_s, samples in heard:
        if start_s - silent_until_s > 0.001:  # it begins anew, perhaps within a beep
            loud_until_s = start_s - 0.05
        silent_until_s = start_s + len(samples) / rate_hz
        for i in np.flatnonzero(np.abs(samples).max(axis=1) > 0.25).tolist():
            at_s = start_s + i / rate_hz
            if at_s - loud_until_s > 0.1:
                found.append(at_s)
            loud_until_s = at_s
    return found


class SinkClock(PlaybackClock):
    """A playback clock on a sink's time that remembers how it went."""

    def __init__(self, sink: SteppedSink | PacedSink) -> None:
        self._sink = sink
        self.history: list[ClockReading] = []
        self.looks = 0
        super().__init__()

    @property
    def reading(self) -> ClockReading:
        self.looks += 1
        return self._reading

    @reading.setter
    def reading(self, reading: ClockReading) -> None:
        self._reading = reading

    def let_look(self, times: int = 5) -> None:
        """Wait until the sound has looked at the clock again."""
        until, patient_until_s = self.looks + times, time.monotonic() + PATIENCE_S
        while self.looks < until:
            assert time.monotonic() < patient_until_s, "nobody looks at the clock"
            time.sleep(0.005)

    def now_s(self) -> float:
        return self._sink.now_s

    def _set(self, at_ms: float, *, running: bool, speed: float) -> None:
        super()._set(at_ms, running=running, speed=speed)
        self.history.append(self.reading)

    def offsets_ms(self, beeps_s: list[float]) -> list[float]:
        """By how much each beep was heard after its picture was due; negative: before."""
        found = []
        for at_s in beeps_s:
            reading = [r for r in self.history if r.since_s <= at_s][-1]
            position_ms = reading.position_ms(at_s)
            beep_ms = round(position_ms / (EVERY_S * 1000)) * EVERY_S * 1000
            found.append((position_ms - beep_ms) / reading.speed)
        return found


def asset_at(path: Path) -> Asset:
    """A clip as a recording of a case."""
    with FileSource(path) as source:
        info = source.info
    return Asset(
        asset_id="a",
        path=str(path),
        quick_hash=path.name,
        stream=info.stream,
        time_base=info.time_base,
        start_pts=info.start_pts,
        end_pts=info.end_pts,
        frames=info.frames,
        width_px=info.width_px,
        height_px=info.height_px,
        codec=info.codec,
    )
