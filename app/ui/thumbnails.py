"""Small pictures of moments, for the ribbon's hover card.

Decoding runs on the thread ``trocar-thumbs`` with a source of its own, so that it never takes the
player's place in the file.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage

from app.ui.background import Background

if TYPE_CHECKING:
    from app.video import VideoSource

KEPT = 400
_CACHE_BYTES = 24 << 20


class Thumbnails:
    """Pictures by (file, second); the newest request wins."""

    def __init__(self) -> None:
        self._background = Background("trocar-thumbs")
        self._kept: OrderedDict[tuple[str, int, int], QImage] = OrderedDict()
        self._source: VideoSource | None = None
        self._path = ""

    def at(
        self, path: str, ms: float, height_px: int, done: Callable[[QImage], object]
    ) -> QImage | None:
        """The picture at a moment if it is at hand; else ``done`` gets it later."""
        key = (path, int(ms // 1000), height_px)
        found = self._kept.get(key)
        if found is not None:
            return found

        def keep(image: QImage) -> None:
            self._kept[key] = image
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            done(image)

        self._background.run(
            lambda: self._decode(path, key[1] * 1000.0, height_px), keep, newest="hover"
        )
        return None

    def close(self) -> None:
        """End the thread and close the file."""
        self._background.close()
        if self._source is not None:
            self._source.close()

    def _decode(self, path: str, ms: float, height_px: int) -> QImage:
        from app.video import open_video

        if self._path != path or self._source is None:
            if self._source is not None:
                self._source.close()
                self._source = None
            self._source = open_video(path, cache_bytes=_CACHE_BYTES)
            self._path = path
        return small_image(self._source.frame_at(ms / 1000).rgb, height_px)


def small_image(rgb: NDArray[np.uint8], height_px: int) -> QImage:
    """A picture of ``height_px`` with memory of its own; works on any thread."""
    height, width, _ = rgb.shape
    whole = QImage(rgb.data, width, height, rgb.strides[0], QImage.Format.Format_RGB888)
    wide = max(1, round(width * height_px / height))
    return whole.scaled(
        wide,
        height_px,
        Qt.AspectRatioMode.IgnoreAspectRatio,
        Qt.TransformationMode.SmoothTransformation,
    )
