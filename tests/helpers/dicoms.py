"""Makes DICOM files of every kind that Trocar plays; each picture carries its number."""

from __future__ import annotations

import io
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
    UltrasoundMultiFrameImageStorage,
    VideoEndoscopicImageStorage,
    generate_uid,
)

from tests.helpers.clips import picture

FRAME_MS = 40
H264, FRAGMENTABLE = "1.2.840.10008.1.2.4.102", "1.2.840.10008.1.2.4.102.1"

STILLS = (
    "rgb", "rgb-planar", "ybr-full", "ybr-422", "palette", "mono", "mono1", "mono12", "jpeg",
    "jpeg-ybr", "jpeg-ls", "jpeg2000", "rle", "rle-mono", "deflated",
)  # fmt: skip
"""Kinds that ``stills`` makes."""

EXACT = (
    "rgb",
    "rgb-planar",
    "mono",
    "mono1",
    "jpeg-ls",
    "jpeg2000",
    "rle",
    "rle-mono",
    "palette",
    "deflated",
)
"""Those of them that keep every value."""


def dataset(frames: int, width_px: int, height_px: int, syntax: str, sop: str) -> FileDataset:
    """A header of RGB pictures, without pixel data."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = syntax
    ds = FileDataset("made", {}, file_meta=meta, preamble=bytes(128))
    ds.SOPClassUID, ds.SOPInstanceUID = sop, meta.MediaStorageSOPInstanceUID
    ds.StudyInstanceUID, ds.SeriesInstanceUID = generate_uid(), generate_uid()
    ds.PatientName, ds.PatientID = "MUSTER^ERIKA", "4711"
    ds.StudyDate, ds.StudyDescription = "20240517", "Laparoscopic cholecystectomy"
    ds.Manufacturer, ds.ManufacturerModelName, ds.Modality = "Maker", "Tower 4", "ES"
    ds.NumberOfFrames, ds.Rows, ds.Columns = frames, height_px, width_px
    ds.FrameTime, ds.FrameIncrementPointer = FRAME_MS, 0x00181063
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit, ds.PixelRepresentation = 7, 0
    return ds


def stills(path: Path, kind: str, frames: int = 6) -> list[NDArray[np.uint8]]:
    """Write a multi-frame image of ``kind``; returns what its frames show, RGB uint8."""
    shown = [picture(n) for n in range(frames)]
    height, width = shown[0].shape[:2]
    ds = dataset(frames, width, height, ExplicitVRLittleEndian, UltrasoundMultiFrameImageStorage)
    grey = [cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY) for rgb in shown]
    if kind.startswith(("mono", "rle-mono")):
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        del ds.PlanarConfiguration
        shown = [np.repeat(g[..., None], 3, axis=2) for g in grey]
    _WRITERS[kind](ds, shown)
    ds.save_as(path, enforce_file_format=True)
    return shown


def _native(ds: FileDataset, shown: Sequence[NDArray[np.uint8]]) -> None:
    pixels = [s[..., 0] for s in shown] if ds.SamplesPerPixel == 1 else list(shown)
    _put(ds, b"".join(p.tobytes() for p in pixels))


def _deflated(ds: FileDataset, shown: Sequence[NDArray[np.uint8]]) -> None:
    _native(ds, shown)
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian


def _planar(ds: FileDataset, shown: Sequence[NDArray[np.uint8]]) -> None:
    ds.PlanarConfiguration = 1
    _put(ds, b"".join(s.transpose(2, 0, 1).tobytes() for s in shown))


def _ybr(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2YCrCb)[..., [0, 2, 1]]


def _ybr_full(ds: FileDataset, shown: Sequence[NDArray[np.uint8]]) -> None:
    ds.PhotometricInterpretation = "YBR_FULL"
    _put(ds, b"".join(_ybr(s).tobytes() for s in shown))


def _ybr_422(ds: FileDataset, shown: Sequence[NDArray[np.uint8]]) -> None:
    ds.PhotometricInterpretation = "YBR_FULL_422"
    out = b""
    for ybr in map(_ybr, shown):
        pairs = ybr.reshape(ybr.shape[0], -1, 2, 3)
        out += np.stack(
            [pairs[:, :, 0, 0], pairs[:, :, 1, 0], pairs[:, :, 0, 1], pairs[:, :, 0, 2]], axis=-1
        ).tobytes()
    _put(ds, out)


def _palette(ds: FileDataset, shown: list[NDArray[np.uint8]]) -> None:
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "PALETTE COLOR"
    del ds.PlanarConfiguration
    levels = np.arange(256, dtype=np.uint16)
    tables = {"Red": levels, "Green": levels // 2, "Blue": 255 - levels}
    for name, table in tables.items():
        setattr(ds, f"{name}PaletteColorLookupTableDescriptor", [256, 0, 16])
        setattr(ds, f"{name}PaletteColorLookupTableData", (table << 8).astype("<u2").tobytes())
    index = [s[..., 0] for s in shown]
    _put(ds, b"".join(i.tobytes() for i in index))
    for n, i in enumerate(index):
        shown[n] = np.stack([table[i].astype(np.uint8) for table in tables.values()], axis=-1)


def _mono1(ds: FileDataset, shown: list[NDArray[np.uint8]]) -> None:
    _native(ds, shown)
    ds.PhotometricInterpretation = "MONOCHROME1"
    shown[:] = [255 - s for s in shown]


def _mono12(ds: FileDataset, shown: Sequence[NDArray[np.uint8]]) -> None:
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 12, 11
    ds.WindowCenter, ds.WindowWidth = 2048, 4096
    _put(ds, b"".join((s[..., 0].astype("<u2") << 4).tobytes() for s in shown))


def _coded(syntax: str, form: str, photometric: str, **options: object):
    def write(ds: FileDataset, shown: Sequence[NDArray[np.uint8]]) -> None:
        codes = []
        for rgb in shown:
            buffer = io.BytesIO()
            Image.fromarray(rgb).save(buffer, form, **options)
            codes.append(buffer.getvalue())
        ds.file_meta.TransferSyntaxUID = syntax
        ds.PhotometricInterpretation = photometric
        _put(ds, encapsulate(codes), encapsulated=True)

    return write


def _compressed(syntax: str):
    def write(ds: FileDataset, shown: Sequence[NDArray[np.uint8]]) -> None:
        _native(ds, shown)
        ds.compress(syntax)

    return write


def _put(ds: FileDataset, data: bytes, *, encapsulated: bool = False) -> None:
    ds.PixelData = data + bytes(len(data) % 2)
    ds["PixelData"].VR = "OW" if ds.BitsAllocated > 8 else "OB"
    ds["PixelData"].is_undefined_length = encapsulated


_WRITERS = {
    "rgb": _native,
    "rgb-planar": _planar,
    "deflated": _deflated,
    "ybr-full": _ybr_full,
    "ybr-422": _ybr_422,
    "palette": _palette,
    "mono": _native,
    "mono1": _mono1,
    "mono12": _mono12,
    "jpeg": _coded(JPEGBaseline8Bit, "JPEG", "YBR_FULL_422", quality=95),
    "jpeg-ybr": _coded(JPEGBaseline8Bit, "JPEG", "YBR_FULL", quality=95, subsampling=0),
    "jpeg2000": _coded(
        JPEG2000Lossless, "JPEG2000", "YBR_RCT", irreversible=False, mct=1, no_jp2=True
    ),
    "jpeg-ls": _compressed(JPEGLSLossless),
    "rle": _compressed(RLELossless),
    "rle-mono": _compressed(RLELossless),
}


def jpeg_lossless(path: Path, out: Path) -> Path:
    """Recode stills with dcmtk as JPEG lossless, process 14."""
    subprocess.run(["dcmcjpeg", "+e1", str(path), str(out)], check=True, capture_output=True)
    return out


def video(
    path: Path,
    payload: bytes,
    frames: int,
    *,
    width_px: int = 320,
    height_px: int = 180,
    syntax: str = H264,
    fragments: int = 1,
    defined_length: bool = False,
) -> Path:
    """Write a video endoscopic image around a stream."""
    ds = dataset(frames, width_px, height_px, syntax, VideoEndoscopicImageStorage)
    ds.PhotometricInterpretation = "YBR_PARTIAL_420"
    size = 2 * -(-len(payload) // (2 * fragments))
    pieces = [payload[at : at + size] for at in range(0, len(payload), size)]
    items = b"".join(_item(p + bytes(len(p) % 2)) for p in [b"", *pieces])
    ds.save_as(path, enforce_file_format=True)
    head = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF)
    if defined_length:
        head, items = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, len(payload)), payload
    else:
        items += struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    with path.open("ab") as file:
        file.write(head + items)
    return path


def _item(content: bytes) -> bytes:
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(content)) + content


def nested(path: Path, levels: int) -> Path:
    """A file whose header is sequences inside sequences, ``levels`` deep, never closed."""
    ds = dataset(1, 8, 8, ExplicitVRLittleEndian, VideoEndoscopicImageStorage)
    ds.save_as(path, enforce_file_format=True)
    one = struct.pack("<HH2sHI", 0x0040, 0x0275, b"SQ", 0, 0xFFFFFFFF)
    one += struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    with path.open("ab") as file:
        file.write(one * levels)
    return path


def read(path: Path) -> pydicom.Dataset:
    """A file as pydicom reads it."""
    return pydicom.dcmread(path)
