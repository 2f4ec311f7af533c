"""One frame of DICOM pixel data as RGB: pydicom's decoders, then colours and greys. Any thread."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import av
import numpy as np
from numpy.typing import NDArray

from app.video.container import MAX_PIXELS
from app.video.dicom.bounds import quiet
from app.video.dicom.file import DicomFile

if TYPE_CHECKING:
    from pydicom import Dataset

# Who decodes what. GDCM is left out although pydicom knows it: damaged JPEGs make it end the whole
# process (measured: 68 of 1,500), and only the first frame is looked at in a process of its own.
_DECODERS = {
    "50": "pillow", "51": "pillow", "80": "pyjpegls", "81": "pyjpegls", "90": "pillow",
    "91": "pillow",
}  # fmt: skip
_LOSSLESS = ("57", "70")
_LOSSLESS_START = 0xC3
_LOSSY = ("50", "51")
_PLAIN = ("1.2", "1.2.1", "1.2.1.99", "1.2.2", "1.2.5")
_J2K_START, _J2K_SIZE = b"\xff\x4f", b"\xff\x51"
_NO_FRAME = (0xC4, 0xC8, 0xCC)
_JPEG_LS_FRAME = 0xF7


Window = tuple[float, float]
"""The value that is black, and how far above it white is; after the modality's rescaling."""


def decoded(file: DicomFile, data: bytes, window: Window) -> NDArray[np.uint8]:
    """The frame whose bytes are ``data``: RGB uint8 (H, W, 3).

    Args:
        file: its header.
        data: one frame, coded or not.
        window: of greys; see ``grey_window``.

    Raises:
        ValueError, RuntimeError and their like: it does not decode.
    """
    from pydicom.pixels import apply_color_lut

    one, pixels = _pixels(file, data)
    if one.PhotometricInterpretation == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, one)
        return _eight_bits(pixels, 8 * pixels.itemsize)[..., :3].copy()
    if pixels.ndim == 3:
        return np.ascontiguousarray(_eight_bits(pixels, int(one.BitsStored)))
    low, span = window
    grey = np.clip((_rescaled(file, pixels) - low) * (255 / span), 0, 255).round().astype(np.uint8)
    if one.PhotometricInterpretation == "MONOCHROME1":
        grey = 255 - grey
    return np.repeat(grey[..., None], 3, axis=2)


def grey_window(file: DicomFile, first: bytes) -> Window:
    """The window of every frame: the header's, else what it stores or its first frame holds.

    PS3.3 C.11.1 (rescaling), C.11.2.1.2 (window).

    Args:
        file: its header.
        first: the first frame, looked at where the header says nothing.

    Raises:
        ValueError, RuntimeError and their like: the first frame does not decode.
    """
    if file.number("SamplesPerPixel") != 1:
        return 0.0, 255.0
    centre, width = file.number("WindowCenter"), file.number("WindowWidth")
    if centre is not None and width is not None and width > 1:
        return float(centre - width / 2), float(width - 1)
    bits = int(file.number("BitsStored") or 8)
    if bits <= 8:
        ends = np.array([-128, 127] if file.number("PixelRepresentation") else [0, 255])
    else:
        ends = _ends(file, first)
    low, high = np.sort(_rescaled(file, ends))
    return float(low), max(float(high - low), 1e-6)


def _ends(file: DicomFile, first: bytes) -> NDArray[np.int64]:
    smallest = file.number("SmallestImagePixelValue")
    largest = file.number("LargestImagePixelValue")
    if smallest is not None and largest is not None and largest > smallest:
        return np.array([int(smallest), int(largest)])
    pixels = _pixels(file, first)[1]
    return np.array([int(pixels.min()), int(pixels.max())])


def is_decodable(file: DicomFile) -> bool:
    """Whether there is a decoder for its kind of pictures."""
    kind = _kind(file)
    if kind in _LOSSLESS:
        return (file.number("BitsAllocated") or 8) <= 8
    if kind in _LOSSY:
        return (file.number("BitsStored") or 8) <= 8
    return kind in (*_DECODERS, *_PLAIN)


def _kind(file: DicomFile) -> str:
    return file.syntax.removeprefix("1.2.840.10008.").removeprefix("1.2.4.")


def _pixels(file: DicomFile, data: bytes) -> tuple[Dataset, NDArray[np.integer]]:
    from pydicom.pixels import convert_color_space, pixel_array

    kind = _kind(file)
    with quiet():
        one = _one_frame(file, data)
        if kind not in _LOSSLESS:
            return one, pixel_array(one, index=0, decoding_plugin=_DECODERS.get(kind, ""))
        pixels = _lossless(data)
        if "YBR" in one.PhotometricInterpretation:
            pixels = convert_color_space(pixels, "YBR_FULL", "RGB")
        return one, pixels


def _lossless(data: bytes) -> NDArray[np.uint8]:
    """A JPEG of process 14, by FFmpeg: uint8 (H, W) or (H, W, 3) in the order of its components."""
    if _start_of_frame(data)[0] != _LOSSLESS_START:
        raise ValueError("no lossless JPEG")
    context = av.CodecContext.create("mjpeg", "r")
    context.thread_count = 1
    context.options = {"max_pixels": str(MAX_PIXELS)}
    pictures = [*context.decode(av.Packet(data)), *context.decode(None)]
    if not pictures or pictures[0].format.name not in ("gray", "bgr24"):
        raise ValueError("a lossless JPEG of another kind")
    pixels = pictures[0].to_ndarray()
    return pixels if pixels.ndim == 2 else pixels[..., ::-1]


def _rescaled(file: DicomFile, values: NDArray[np.integer]) -> NDArray[np.float32]:
    slope, intercept = file.number("RescaleSlope"), file.number("RescaleIntercept")
    return values.astype(np.float32) * float(slope or 1) + float(intercept or 0)


def coded_size(data: bytes) -> tuple[int, int] | None:
    """Width and height that a JPEG, JPEG-LS or JPEG 2000 code claims; None where it says none."""
    if data[:2] == _J2K_START or (start := data.find(_J2K_START + _J2K_SIZE, 0, 4096)) > 0:
        at = 2 if data[:2] == _J2K_START else start + 2
        right, bottom, left, top = struct.unpack(">4I", data[at + 6 : at + 22].ljust(16, b"\0"))
        return max(0, right - left), max(0, bottom - top)
    marker, at = _start_of_frame(data)
    if not marker:
        return None
    height, width = struct.unpack(">HH", data[at + 5 : at + 9])
    return width, height


def _start_of_frame(data: bytes) -> tuple[int, int]:
    """Kind and place of a JPEG's frame header (ISO/IEC 10918-1 §B.2.2), (0, 0) where none is."""
    at = 2 if data[:2] == b"\xff\xd8" else len(data)
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == _JPEG_LS_FRAME or (0xC0 <= marker <= 0xCF and marker not in _NO_FRAME):
            return marker, at
        at += 1 if marker == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return 0, 0


def _one_frame(file: DicomFile, data: bytes) -> Dataset:
    """A dataset that holds this frame alone."""
    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.encaps import encapsulate

    one = Dataset()
    for element in file.dataset:
        if element.tag.group == 0x0028 and element.keyword != "FrameIncrementPointer":
            one.add(element)
    one.NumberOfFrames = 1
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = file.syntax
    one.PixelData = encapsulate([data], has_bot=False) if file.encapsulated else data
    one["PixelData"].VR = "OW" if one.BitsAllocated > 8 else "OB"
    one["PixelData"].is_undefined_length = file.encapsulated
    return one


def _eight_bits(pixels: NDArray[np.integer], bits: int) -> NDArray[np.uint8]:
    return (pixels >> max(0, bits - 8)).astype(np.uint8)
