"""Interlaced pictures made whole by FFmpeg's bwdif, frame for frame. Used by the source's thread.

bwdif looks at a picture and its two neighbours and at nothing else, so a frame that was reached by
a seek equals the one that was reached by playing: its neighbours are decoded for it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from fractions import Fraction

import av
from av.filter import Graph

from app.core.errors import BadInput

# The filters want one; nothing here depends on it.
_CLOCK = Fraction(1, 1000)

Decoded = Callable[[int], av.VideoFrame]
"""The picture of an index as the decoder makes it; raises ``UndecodableFrame``."""


class Deinterlacer:
    """Pictures by display index, those made of two fields as whole ones.

    Args:
        frames: how many there are.
    """

    def __init__(self, frames: int) -> None:
        self._frames = frames
        self._graph: Graph | None = None
        # The newest picture that the filter holds.
        self._fed = -1
        self._newest: av.VideoFrame | None = None
        self._expects_fields = False

    def picture(self, index: int, decoded: Decoded) -> av.VideoFrame:
        """The whole picture of an index; a progressive one as it is.

        Raises:
            UndecodableFrame: its packet does not decode.
        """
        goes_on = self._graph is not None and self._fed == index
        # Before the picture itself, or the decoder would go over the same stretch twice.
        before = (
            self._neighbour(index - 1, decoded) if self._expects_fields and not goes_on else None
        )
        picture = self._newest if goes_on and self._newest else decoded(index)
        self._expects_fields = bool(picture.interlaced_frame)
        if not self._expects_fields:
            self._forget()
            return picture
        before = before or (None if goes_on else self._neighbour(index - 1, decoded))
        after = self._neighbour(index + 1, decoded)
        return self._whole(index, picture, goes_on, before, after)

    def _whole(
        self,
        index: int,
        picture: av.VideoFrame,
        goes_on: bool,
        before: av.VideoFrame | None,
        after: av.VideoFrame | None,
    ) -> av.VideoFrame:
        graph = self._graph if goes_on else None
        if graph is None:
            graph = _filter_for(picture)
            if before is not None and _are_alike(before, picture):
                graph.vpush(before)
                graph.vpush(picture)
                graph.vpull()
            else:
                graph.vpush(picture)
        if after is None or not _are_alike(picture, after):
            self._forget()
            graph.vpush(None)
        else:
            graph.vpush(after)
            self._graph, self._fed, self._newest = graph, index + 1, after
        return graph.vpull()

    def _forget(self) -> None:
        self._graph, self._fed, self._newest = None, -1, None

    def _neighbour(self, index: int, decoded: Decoded) -> av.VideoFrame | None:
        if not 0 <= index < self._frames:
            return None
        try:
            return decoded(index)
        except BadInput:
            return None


def _filter_for(picture: av.VideoFrame) -> Graph:
    graph = Graph()
    source = graph.add_buffer(
        width=picture.width,
        height=picture.height,
        format=picture.format,
        time_base=_CLOCK,
    )
    # One frame for each frame; the field order is the one that the picture itself names.
    whole = graph.add("bwdif", "mode=send_frame:parity=auto:deint=all")
    source.link_to(whole)
    whole.link_to(graph.add("buffersink"))
    graph.configure()
    return graph


def _are_alike(one: av.VideoFrame, other: av.VideoFrame) -> bool:
    same_size = (one.width, one.height) == (other.width, other.height)
    return same_size and one.format.name == other.format.name


def is_top_field_first(picture: av.VideoFrame) -> bool:
    """The field order that a picture of two fields names."""
    graph = Graph()
    # FFmpeg's bindings do not tell, its filter does: it moves the lines of a picture whose order
    # is another one, here of small stripes with that picture's properties.
    chain = [
        graph.add_buffer(
            width=picture.width,
            height=picture.height,
            format=picture.format,
            time_base=_CLOCK,
        ),
        graph.add("scale", "16:16"),
        graph.add("format", "gray"),
        graph.add("geq", r"lum=255*mod(Y\,2)"),
        graph.add("fieldorder", "tff"),
        graph.add("buffersink"),
    ]
    for one, following in itertools.pairwise(chain):
        one.link_to(following)
    graph.configure()
    graph.vpush(picture)
    return bool(graph.vpull().to_ndarray()[0, 0] == 0)
