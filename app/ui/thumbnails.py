"""Small pictures of moments: for the ribbon's hover card and the timeline's strip of pictures.

Decoding runs on the thread ``trocar-thumbs`` with a source of its own, so that it never takes the
player's place in the file. The strip is made a few pictures at a time; what is hovered over comes
between them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QImage

from app.core.case import Asset
from app.ui.background import Background
from app.ui.strip import HEIGHT_PX, Strip, read_strip, wanted_frames, write_strip

if TYPE_CHECKING:
    from app.video import VideoSource

KEPT = 400
_CACHE_BYTES = 24 << 20
_AT_ONCE = 3


class Thumbnails(QObject):
    """Pictures of the open recording.

    Args:
        folder: the library's cache.
        writable: strips may be kept there.

    Attributes:
        strip: the keyframes of the recording so far.

    Signals:
        grew: the strip has more pictures, or is that of another recording.
    """

    grew = Signal()

    def __init__(self, folder: Path, *, writable: bool) -> None:
        super().__init__()
        self.strip = Strip()
        self._folder, self._writable = folder, writable
        self._asset: Asset | None = None
        self._closing = False
        self._background = Background("trocar-thumbs")
        self._kept: OrderedDict[tuple[str, int, int], QImage] = OrderedDict()
        # Touched on the thread alone.
        self._source: VideoSource | None = None
        self._of: tuple[str, ...] = ()
        self._lost = False

    def at(
        self, asset: Asset, ms: float, height_px: int, done: Callable[[QImage], object]
    ) -> QImage | None:
        """The picture at a moment if it is at hand; else ``done`` gets it later.

        Meanwhile a keyframe close by stands in for it.
        """
        key = (asset.asset_id, int(ms // 1000), height_px)
        found = self._kept.get(key)
        if found is not None:
            return found

        def keep(image: QImage | None) -> None:
            if image is None:
                return
            self._kept[key] = image
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            done(image)

        self._background.run(
            lambda: self._decode(asset, key[1] * 1000.0, height_px), keep, newest="hover"
        )
        return self.strip.nearest(ms, asset.duration_ms / 40) if self._is_of(asset) else None

    def show(self, asset: Asset | None) -> None:
        """Make the strip of a recording; that of another one is given up."""
        if asset is not None and self._is_of(asset):
            return
        self._asset, self.strip = asset, Strip()
        self._kept.clear()
        self.grew.emit()
        if asset is None:
            self._background.run(self._release, newest="strip")
            return
        self._background.run(
            lambda: self._begin(asset), lambda found: self._go_on(asset, *found), newest="strip"
        )

    def close(self) -> None:
        """End the thread and close the file."""
        self._asset, self._closing = None, True
        self._background.close()
        self._release()

    def _is_of(self, asset: Asset) -> bool:
        return self._asset is not None and _identity(self._asset) == _identity(asset)

    def _go_on(self, asset: Asset, made: Strip, frames: list[int]) -> None:
        """Show what was made, and make the next few."""
        if not self._is_of(asset):
            return
        self.strip = made
        self.grew.emit()
        if frames:
            self._background.run(
                lambda: self._more(asset, made, frames),
                lambda found: self._go_on(asset, *found),
                newest="strip",
            )

    # On the thread

    def _begin(self, asset: Asset) -> tuple[Strip, list[int]]:
        from app.video import OpenCancelled

        kept = read_strip(self._folder, strip_key(asset))
        if kept is not None:
            return kept, []
        try:
            source = self._open(asset)
        except OpenCancelled:
            return Strip(), []
        return Strip(), wanted_frames(source.index.keys, len(source))

    def _more(self, asset: Asset, strip: Strip, frames: list[int]) -> tuple[Strip, list[int]]:
        from app.video import OpenCancelled, UndecodableFrame

        try:
            source = self._open(asset)
        except OpenCancelled:
            return strip, []
        made = []
        for index in frames[:_AT_ONCE]:
            try:
                frame = source.frame(index)
            except UndecodableFrame:
                self._lost = True
                continue
            made.append((frame.time_ms, small_image(frame.rgb, HEIGHT_PX)))
        rest = frames[_AT_ONCE:]
        strip = strip.with_more(made, complete=not rest)
        # Of what is lost today, a part may be found tomorrow.
        if strip.complete and self._writable and not self._lost:
            write_strip(self._folder, strip_key(asset), strip)
        return strip, rest

    def _decode(self, asset: Asset, ms: float, height_px: int) -> QImage | None:
        from app.video import OpenCancelled, UndecodableFrame

        try:
            return small_image(self._open(asset).frame_at(ms / 1000).rgb, height_px)
        except (OpenCancelled, UndecodableFrame):
            return None

    def _open(self, asset: Asset) -> VideoSource:
        from app.video import open_recording

        if self._of != _identity(asset) or self._source is None:
            self._release()
            self._source = open_recording(
                asset,
                missing_ok=True,
                cache_bytes=_CACHE_BYTES,
                cancelled=lambda: self._closing or not self._is_of(asset),
            )
            self._of, self._lost = _identity(asset), False
        return self._source

    def _release(self) -> None:
        if self._source is not None:
            self._source.close()
            self._source = None


def _identity(asset: Asset) -> tuple[str, ...]:
    """Which recording, and where its files lie now."""
    return asset.asset_id, *(file.path for file in asset.files)


def strip_key(asset: Asset) -> str:
    """Of a recording's strip: by what is in it, wherever it lies."""
    return f"{asset.quick_hash[:40]}-{asset.stream}-{asset.frames}"


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
