"""A mask: the pixels of one instance, kept as the region that holds them.

Only the bounding region is stored in memory, never a full-frame plane: a 1080p frame with
fifteen instances costs what its instances cover (specs: post-processing, measured).
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.core import validate

MAX_PIXELS = 40_000_000
_HEADER = struct.Struct("<6I")
# In the first word: runs are stored as changes, not as lengths; and those byte by byte, all lowest
# bytes first, which zlib reads twice as fast and packs a fifth smaller.
_AS_CHANGES, _BY_BYTE = 1 << 31, 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mask:
    """Pixels of one instance in a raster of ``width_px`` by ``height_px``.

    Attributes:
        width_px, height_px: size of the raster the mask belongs to.
        x_px, y_px: left and top edge of the region in the raster.
        bits: bool (h, w), True inside; the region lies wholly in the raster. An empty mask has
            shape (0, 0).
    """

    width_px: int
    height_px: int
    x_px: int
    y_px: int
    bits: NDArray[np.bool_]

    def __post_init__(self) -> None:
        validate.array("Mask.bits", self.bits, 2, np.bool_)
        validate.positive("Mask.width_px", self.width_px)
        validate.positive("Mask.height_px", self.height_px)
        h, w = self.bits.shape
        if self.width_px * self.height_px > MAX_PIXELS:
            raise ValueError(f"Mask: expected at most {MAX_PIXELS} pixels in the raster")
        if not (0 <= self.x_px <= self.width_px - w and 0 <= self.y_px <= self.height_px - h):
            raise ValueError(
                f"Mask: expected a region inside {self.width_px} x {self.height_px}, "
                f"got {w} x {h} at ({self.x_px}, {self.y_px})"
            )

    @classmethod
    def from_full(cls, plane: NDArray[np.generic]) -> Mask:
        """The tight mask of the non-zero pixels of a (H, W) plane."""
        height, width = plane.shape
        on = plane.astype(bool, copy=False)
        rows = np.flatnonzero(on.any(axis=1))
        if rows.size == 0:
            return cls.empty(width, height)
        cols = np.flatnonzero(on.any(axis=0))
        y0, y1, x0, x1 = rows[0], rows[-1] + 1, cols[0], cols[-1] + 1
        return cls(
            width_px=width,
            height_px=height,
            x_px=int(x0),
            y_px=int(y0),
            bits=np.ascontiguousarray(on[y0:y1, x0:x1]),
        )

    @classmethod
    def empty(cls, width_px: int, height_px: int) -> Mask:
        """A mask without pixels."""
        bits = np.zeros((0, 0), bool)
        return cls(width_px=width_px, height_px=height_px, x_px=0, y_px=0, bits=bits)

    def full(self) -> NDArray[np.bool_]:
        """The mask as a bool (height_px, width_px) plane."""
        plane = np.zeros((self.height_px, self.width_px), bool)
        h, w = self.bits.shape
        plane[self.y_px : self.y_px + h, self.x_px : self.x_px + w] = self.bits
        return plane

    def tightened(self) -> Mask:
        """The same pixels in the smallest region."""
        inner = Mask.from_full(self.bits) if self.bits.size else None
        if inner is None or inner.bits.size == 0:
            return Mask.empty(self.width_px, self.height_px)
        return Mask(
            width_px=self.width_px,
            height_px=self.height_px,
            x_px=self.x_px + inner.x_px,
            y_px=self.y_px + inner.y_px,
            bits=inner.bits,
        )

    @property
    def area_px(self) -> int:
        """Number of pixels inside."""
        return int(np.count_nonzero(self.bits))

    @property
    def box(self) -> tuple[int, int, int, int]:
        """The region as (x0, y0, x1, y1) in raster pixels, x1 and y1 exclusive."""
        h, w = self.bits.shape
        return self.x_px, self.y_px, self.x_px + w, self.y_px + h

    def contains(self, x_px: float, y_px: float) -> bool:
        """Whether the pixel under a point of the raster is inside."""
        x, y = int(np.floor(x_px)) - self.x_px, int(np.floor(y_px)) - self.y_px
        h, w = self.bits.shape
        return 0 <= x < w and 0 <= y < h and bool(self.bits[y, x])

    def intersection_px(self, other: Mask) -> int:
        """Number of pixels in both masks.

        Raises:
            ValueError: the masks belong to rasters of different size.
        """
        if (self.width_px, self.height_px) != (other.width_px, other.height_px):
            raise ValueError("Mask: expected two masks of one raster size")
        ax0, ay0, ax1, ay1 = self.box
        bx0, by0, bx1, by1 = other.box
        x0, y0, x1, y1 = max(ax0, bx0), max(ay0, by0), min(ax1, bx1), min(ay1, by1)
        if x0 >= x1 or y0 >= y1:
            return 0
        a = self.bits[y0 - ay0 : y1 - ay0, x0 - ax0 : x1 - ax0]
        b = other.bits[y0 - by0 : y1 - by0, x0 - bx0 : x1 - bx0]
        return int(np.count_nonzero(a & b))

    def iou(self, other: Mask) -> float:
        """Intersection over union, 0 to 1; two empty masks give 1."""
        both = self.intersection_px(other)
        union = self.area_px + other.area_px - both
        return both / union if union else 1.0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mask):
            return NotImplemented
        a, b = self.tightened(), other.tightened()
        return (
            (a.width_px, a.height_px, a.box) == (b.width_px, b.height_px, b.box)
            and bool(np.array_equal(a.bits, b.bits))
        )  # fmt: skip

    def __hash__(self) -> int:
        return hash((self.width_px, self.height_px, self.area_px))

    def to_bytes(self) -> bytes:
        """Stored form: six little-endian uint32 (sizes and region), then zlib of the runs.

        Runs lie in row-major order over the region and begin with one outside. Each is an int32:
        how much longer it is than the run two before, which halves the size of plain lengths. Of
        all of them the lowest bytes come first, the highest last.
        """
        runs = self._runs()
        changes = runs.copy()
        changes[2:] -= runs[:-2]
        h, w = self.bits.shape
        marked_width = self.width_px | _AS_CHANGES | _BY_BYTE
        head = _HEADER.pack(marked_width, self.height_px, self.x_px, self.y_px, w, h)
        return head + zlib.compress(changes.view(np.uint8).reshape(-1, 4).T.tobytes(), 1)

    def _runs(self) -> NDArray[np.int32]:
        flat = self.bits.ravel()
        if not flat.size:
            return np.zeros(0, "<i4")
        edges = np.flatnonzero(flat[1:] != flat[:-1])
        inside_first = int(flat[0])
        ends = np.empty(edges.size + 2 + inside_first, "<i4")
        ends[: 1 + inside_first] = -1
        ends[1 + inside_first : -1] = edges
        ends[-1] = flat.size - 1
        return ends[1:] - ends[:-1]

    @classmethod
    def from_bytes(cls, data: bytes) -> Mask:
        """Read the stored form, also that of older libraries with plain uint32 lengths.

        Raises:
            ValueError: the bytes are not a mask, or claim more than ``MAX_PIXELS``.
        """
        if len(data) < _HEADER.size:
            raise ValueError("mask: too short")
        marked_width, height, x, y, w, h = _HEADER.unpack_from(data)
        width = marked_width & ~(_AS_CHANGES | _BY_BYTE)
        if width * height > MAX_PIXELS or w > width or h > height:
            raise ValueError("mask: impossible size")
        inflater = zlib.decompressobj()
        try:
            raw = inflater.decompress(data[_HEADER.size :], 4 * (w * h + 2))
        except zlib.error as error:
            raise ValueError("mask: damaged runs") from error
        if len(raw) % 4 or not inflater.eof:
            raise ValueError("mask: damaged runs")
        if marked_width & _BY_BYTE:
            raw = np.frombuffer(raw, np.uint8).reshape(4, -1).T.tobytes()
        runs = np.frombuffer(raw, "<u4").astype(np.int64)
        if marked_width & _AS_CHANGES:
            runs = np.frombuffer(raw, "<i4").astype(np.int64)
            runs[::2].cumsum(out=runs[::2])
            runs[1::2].cumsum(out=runs[1::2])
        if runs.sum() != w * h or (runs < 0).any():
            raise ValueError("mask: runs do not fill the region")
        values = (np.arange(runs.size) % 2).astype(bool)
        bits = np.repeat(values, runs).reshape(h, w)
        return cls(width_px=width, height_px=height, x_px=x, y_px=y, bits=bits)
