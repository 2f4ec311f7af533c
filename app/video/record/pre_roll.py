"""The last seconds before a recording begins. Owned by whoever holds its lock."""

from __future__ import annotations

from collections import deque

from app.video.live.state import LIVE_TIME_BASE, LivePacket

_MOST_BYTES = 256 << 20


class PreRoll:
    """Packets from a keyframe on that lies at least ``length_s`` back, where there is one.

    Args:
        length_s: how much to keep.
        most_bytes: keep less where that would be more; nothing where one group is more.
    """

    def __init__(self, length_s: float, most_bytes: int = _MOST_BYTES) -> None:
        self._length_pts = int(length_s / LIVE_TIME_BASE)
        self._most_bytes = most_bytes
        self._groups: deque[list[LivePacket]] = deque()
        self._bytes = 0

    def add(self, packet: LivePacket) -> None:
        """The newest packet."""
        if self._groups and self._groups[-1][-1].coding != packet.coding:
            self.take()
        if packet.is_keyframe:
            self._groups.append([])
        if not self._groups:
            return
        self._groups[-1].append(packet)
        self._bytes += len(packet.data)
        while len(self._groups) > 1 and (
            self._groups[1][0].pts <= packet.pts - self._length_pts
            or self._bytes > self._most_bytes
        ):
            self._bytes -= sum(len(p.data) for p in self._groups.popleft())
        if self._bytes > self._most_bytes:
            # A source with hardly a keyframe: nothing is kept until its next one.
            self.take()

    def take(self) -> list[LivePacket]:
        """All that is kept, in order; nothing is kept then."""
        packets = [packet for group in self._groups for packet in group]
        self._groups.clear()
        self._bytes = 0
        return packets
