"""The sound of a stretch, copied or encoded anew. Runs on the caller's thread."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import OutputContainer

from app.core.errors import BadInput
from app.video.container import open_container

# What MP4, MOV and Matroska all take as it is.
_COPIED = {"aac", "mp3", "ac3", "eac3"}
_ENCODED_AS = "aac"


class Sound:
    """Writes the sound between two moments of a file, a little ahead of the pictures.

    Args:
        path: the recording.
        out: the file that is being written; its stream is added here.
        start_s, end_s: on the clock of the recording's container.

    Raises:
        BadInput: the recording has no sound.
    """

    def __init__(
        self, path: Path, out: OutputContainer, start_s: Fraction, end_s: Fraction
    ) -> None:
        self._container = open_container(path)
        self._out, self._start_s, self._end_s = out, start_s, end_s
        stream: Any = self._container.streams.best("audio")
        if stream is None:
            self._container.close()
            raise BadInput(f"{path.name} has no sound; save the clip without it.")
        self._in = stream
        name = stream.codec_context.codec.canonical_name
        if name in _COPIED:
            self._stream: Any = out.add_stream_from_template(stream)
            for key in list(self._stream.metadata):
                del self._stream.metadata[key]
            self._packets: Iterator[tuple[Fraction, av.Packet[Any]]] = self._copied()
        else:
            self._stream = out.add_stream(_ENCODED_AS, rate=stream.codec_context.sample_rate)
            self._stream.layout = "mono" if stream.codec_context.channels == 1 else "stereo"
            self._packets = self._encoded()
        self._next: tuple[Fraction, av.Packet[Any]] | None = None

    def write_until(self, seconds: Fraction) -> None:
        """Write what is heard up to a moment, counted from the clip's start."""
        while True:
            if self._next is None:
                self._next = next(self._packets, None)
            if self._next is None or self._next[0] > seconds:
                return
            self._out.mux(self._next[1])
            self._next = None

    def close(self) -> None:
        """Write the rest and release the recording."""
        self.write_until(self._end_s - self._start_s)
        self._container.close()

    def _within(self) -> Iterator[tuple[Fraction, av.Packet[Any]]]:
        """Packets that begin within the stretch, with their time from its start."""
        base = self._in.time_base
        early_s = max(Fraction(0), self._start_s - 1)
        self._container.seek(int(early_s / base), stream=self._in, backward=True)
        for packet in self._container.demux(self._in):
            if packet.pts is None:
                continue
            at_s = packet.pts * base
            if at_s >= self._end_s:
                return
            if at_s >= self._start_s:
                yield at_s - self._start_s, packet

    def _copied(self) -> Iterator[tuple[Fraction, av.Packet[Any]]]:
        for at_s, packet in self._within():
            ticks = round(at_s / self._in.time_base)
            packet.pts = packet.dts = ticks
            packet.stream = self._stream
            yield at_s, packet

    def _encoded(self) -> Iterator[tuple[Fraction, av.Packet[Any]]]:
        context = self._stream.codec_context
        resampler = av.AudioResampler("fltp", context.layout, context.sample_rate)
        written = 0
        for _, packet in self._within():
            for heard in packet.decode():
                assert isinstance(heard, av.AudioFrame)  # noqa: S101 - of an audio stream
                heard.pts = None
                for piece in resampler.resample(heard):
                    piece.pts, piece.time_base = written, Fraction(1, context.sample_rate)
                    written += piece.samples
                    yield from self._timed(self._stream.encode(piece))
        yield from self._timed(self._stream.encode(None))

    def _timed(self, packets: list[av.Packet[Any]]) -> Iterator[tuple[Fraction, av.Packet[Any]]]:
        for packet in packets:
            yield Fraction(packet.pts or 0) * packet.time_base, packet
