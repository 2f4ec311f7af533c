"""Sound at another speed with its pitch kept (FFmpeg's atempo). Used by the sound's thread."""

from __future__ import annotations

import math
from fractions import Fraction

import av
import numpy as np

from app.video.sound.file import CHANNELS, Samples, silence
from app.video.sound.track import SoundTrack

MIN_TEMPO, MAX_TEMPO = 0.5, 2.0
"""Outside of these the sound is silent: words could not be understood."""
_FEED = 1024


class Tempo:
    """A track, faster or slower.

    Args:
        track: where the samples come from.
        rate_hz: of the track and of what is handed out.
    """

    def __init__(self, track: SoundTrack, rate_hz: int) -> None:
        self._track, self._rate_hz = track, rate_hz
        self._graph: av.filter.Graph | None = None
        self._ready = silence(0)
        self._from_ms = 0.0
        self._out = self._fed = 0
        self.speed = 1.0

    @property
    def position_ms(self) -> float:
        """Where in the recording the next sample lies."""
        return self._from_ms + self._out * self.speed * 1000 / self._rate_hz

    def begin(self, time_ms: float, speed: float) -> None:
        """Go to a moment of the recording, at a speed between the two above."""
        self._track.seek(time_ms)
        self._from_ms, self._out, self._fed = self._track.position_ms, 0, 0
        self.speed, self._ready = speed, silence(0)
        self._graph = None if speed == 1.0 else self._made(speed)
        if self._graph is not None:
            # atempo joins windows of a 24th of a second, rounded up to a power of two; what it
            # hands out is ahead by a quarter of one at any speed (measured, 44.1 and 48 kHz).
            window = 1 << math.ceil(math.log2(self._rate_hz // 24))
            self._from_ms += window / 4 * 1000 / self._rate_hz

    def skip(self, time_ms: float) -> None:
        """Leave out so much of the recording; nothing where it is negative."""
        count = round(time_ms / 1000 / self.speed * self._rate_hz)
        if count > 0:
            self.read(count)

    def read(self, count: int) -> Samples:
        """The next ``count`` samples: float32 (count, 2)."""
        self._out += count
        if self._graph is None:
            return self._track.read(count)
        pieces, have = [self._ready], len(self._ready)
        while have < count:
            pieces.append(self._pulled(self._graph))
            have += len(pieces[-1])
        whole = np.concatenate(pieces)
        self._ready = whole[count:]
        return whole[:count]

    def _made(self, speed: float) -> av.filter.Graph:
        graph = av.filter.Graph()
        source = graph.add_abuffer(
            sample_rate=self._rate_hz,
            format="flt",
            layout="stereo",
            time_base=Fraction(1, self._rate_hz),
        )
        tempo, sink = graph.add("atempo", str(speed)), graph.add("abuffersink")
        source.link_to(tempo)
        tempo.link_to(sink)
        graph.configure()
        return graph

    def _pulled(self, graph: av.filter.Graph) -> Samples:
        """What the filter has ready, fed until it has something."""
        while True:
            try:
                return graph.pull().to_ndarray().reshape(-1, CHANNELS)
            except av.BlockingIOError:
                fresh = np.ascontiguousarray(self._track.read(_FEED)).reshape(1, -1)
                frame = av.AudioFrame.from_ndarray(fresh, format="flt", layout="stereo")
                frame.sample_rate, frame.pts = self._rate_hz, self._fed
                frame.time_base = Fraction(1, self._rate_hz)
                self._fed += _FEED
                graph.push(frame)
