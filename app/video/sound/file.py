"""The sound of one media file, sample by sample in its own time. One thread at a time.

Files are opened under the limits of ``container``; damaged packets and gaps are silence.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream
from numpy.typing import NDArray

from app.video.container import SOUND_CODECS, open_container, read_packets

CHANNELS = 2
# Decoders need some packets before they are right: Opus 80 ms, MP3 its reservoir.
_PREROLL_S = 0.2
# Where a container seeks too far, it is asked for an earlier place.
_FURTHER_BACK_S = (0.0, 2.0, 15.0)
# Packets' times are rounded (Matroska: to 1 ms): less than this is no gap.
_ROUNDING_S = 0.015
# A single packet that claims to lie this far ahead is not believed.
_LEAP_S = 10.0

Samples = NDArray[np.float32]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundStream:
    """One sound track of a file, in words for a menu.

    Attributes:
        index: of the stream in the container.
        words: as ``Stereo, 48 kHz, German``.
    """

    index: int
    words: str


def silence(count: int) -> Samples:
    """Float32 (count, 2) of nothing."""
    return np.zeros((count, CHANNELS), np.float32)


def sound_streams(path: Path) -> tuple[SoundStream, ...]:
    """The sound tracks of a media file that can be played; () where there are none.

    Raises:
        BadInput, EnvironmentProblem: as ``open_container``.
    """
    with open_container(path) as container:
        return tuple(SoundStream(index=s.index, words=_words(s)) for s in _playable(container))


def _playable(container: av.container.InputContainer) -> list[AudioStream]:
    streams = [s for s in container.streams.audio if s.codec_context is not None and s.rate]
    return [s for s in streams if s.codec_context.codec.name in SOUND_CODECS]


def _words(stream: AudioStream) -> str:
    layout = {1: "Mono", 2: "Stereo"}.get(stream.channels, f"{stream.channels} channels")
    named = [stream.metadata.get(key, "") for key in ("title", "language")]
    return ", ".join(
        [layout, f"{stream.rate / 1000:g} kHz", *(n for n in named if n and n != "und")]
    )


class SoundFile:
    """One file's sound from any moment on.

    Args:
        path: the file, already looked at.
        rate_hz: of the samples handed out.
        choice: which of its sound tracks; the first one where there are fewer.

    Raises:
        BadInput: it has no sound; as ``open_container``.
    """

    def __init__(self, path: Path, rate_hz: int, choice: int = 0) -> None:
        self._rate_hz = rate_hz
        self._container = open_container(path)
        streams = _playable(self._container)
        self._stream = streams[choice if choice < len(streams) else 0] if streams else None
        self._frames: Iterator[av.AudioFrame] = iter(())
        self._resampler: av.AudioResampler | None = None
        self._shape: object = None
        self._at = self._end = 0
        self._chunk = silence(0)
        self._leapt = False

    def close(self) -> None:
        """Release the file."""
        self._frames = iter(())
        self._container.close()

    def seek(self, at_s: float) -> None:
        """Go to a moment in the file's own time, in seconds."""
        self._at = round(at_s * self._rate_hz)
        stream = self._stream
        if stream is None:
            return
        first_s = float((stream.start_time or 0) * stream.time_base)
        for further_s in _FURTHER_BACK_S:
            from_s = at_s - _PREROLL_S - further_s
            self._start_reading(stream, from_s, first_s)
            if not self._next_chunk() or self._chunk_start <= self._at or from_s <= first_s:
                return

    def read(self, count: int) -> Samples:
        """The next ``count`` samples: float32 (count, 2), -1 to 1, silence where there is none."""
        out = silence(count)
        end = self._at + count
        while True:
            start = max(self._chunk_start, self._at)
            stop = min(self._end, end)
            if stop > start:
                wanted = self._chunk[start - self._chunk_start : stop - self._chunk_start]
                out[start - self._at : stop - self._at] = wanted
            if self._end >= end or not self._next_chunk():
                break
        self._at = end
        return out

    @property
    def _chunk_start(self) -> int:
        return self._end - len(self._chunk)

    def _start_reading(self, stream: AudioStream, from_s: float, first_s: float) -> None:
        # By its own times only where that needs no index of its own: Matroska would read it all.
        by = stream if "mov" in self._container.format.name else None
        unit = stream.time_base if by else Fraction(1, av.time_base)
        for at_s in (from_s, max(from_s, first_s)):  # some containers know nothing before
            try:
                self._container.seek(round(at_s / unit), stream=by)
                break
            except av.FFmpegError as error:
                log.info("seeking in the sound failed: %s", type(error).__name__)
        self._resampler, self._shape, self._leapt = None, None, False
        self._chunk, self._end = self._chunk[:0], -(1 << 62)
        self._frames = _decoded(self._container, stream)

    def _next_chunk(self) -> bool:
        """Take the next decoded samples; False at the end of the file."""
        for frame in self._frames:
            at = self._sample_of(frame)
            samples = self._resampled(frame)
            if not len(samples):
                continue
            ahead = 0 if at is None else at - self._end
            begun = self._end > -(1 << 62)
            if begun and ahead > _LEAP_S * self._rate_hz and not self._leapt:
                self._leapt = True
                continue
            self._leapt = False
            if begun and (at is None or abs(ahead) <= _ROUNDING_S * self._rate_hz):
                at = self._end
            elif at is None:
                at = self._at
            self._chunk, self._end = samples, at + len(samples)
            return True
        return False

    def _sample_of(self, frame: av.AudioFrame) -> int | None:
        if frame.pts is None:
            return None
        return round(float(frame.pts * frame.time_base) * self._rate_hz)

    def _resampled(self, frame: av.AudioFrame) -> Samples:
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if shape != self._shape:
            self._resampler = av.AudioResampler(format="flt", layout="stereo", rate=self._rate_hz)
            self._shape = shape
        assert self._resampler is not None  # noqa: S101 - made above
        try:
            made = self._resampler.resample(frame)
        except av.FFmpegError as error:  # channels that nobody knows, for one
            log.debug("sound cannot be resampled: %s", type(error).__name__)
            self._shape = None
            return silence(0)
        parts = [f.to_ndarray().reshape(-1, CHANNELS) for f in made]
        whole = np.concatenate(parts) if parts else silence(0)
        # Damaged floating-point sound may hold anything.
        return np.nan_to_num(whole, nan=0.0, posinf=1.0, neginf=-1.0)


def _decoded(
    container: av.container.InputContainer, stream: AudioStream
) -> Iterator[av.AudioFrame]:
    for packet in read_packets(container, stream):
        try:
            yield from packet.decode()
        except av.FFmpegError as error:
            log.debug("a packet of sound does not decode: %s", type(error).__name__)
