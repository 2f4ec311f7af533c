"""A DICOM file's header, and where its pixel data lie; nothing of them is read. Any thread.

PS3.10 (file format), PS3.5 A.4 (encapsulated pixel data).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from app.core.errors import BadInput
from app.video.dicom.bounds import (
    MOST_VALUE_BYTES,
    bounded,
    bounded_memory,
    inflated_from,
    pydicom_reader,
    quiet,
    unreadable,
)

if TYPE_CHECKING:
    from pydicom import Dataset

DEFLATED = "1.2.840.10008.1.2.1.99"
_BIG_ENDIAN, _IMPLICIT = "1.2.840.10008.1.2.2", "1.2.840.10008.1.2"
_EXPLICIT = "1.2.840.10008.1.2.1"
_COMPRESSED = "1.2.840.10008.1.2.4."
_ELEMENTARY = {
    **dict.fromkeys((100, 101), "mpegvideo"),
    **dict.fromkeys((102, 103, 104, 105, 106), "h264"),
    **dict.fromkeys((107, 108), "hevc"),
}
_ITEM, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE0DD
_PIXEL_DATA = 0x7FE00010
_META_GROUP = 2
_UNDEFINED = 0xFFFFFFFF
_MOST_FRAGMENTS = 400_000
_MOST_FRAMES = 2_000_000


class NoPictures(BadInput):
    """A DICOM file of another kind: a report, a measurement, a plan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DicomFile:
    """A DICOM file with pictures in it.

    Attributes:
        path: the file.
        dataset: the header, without pixel data.
        syntax: transfer syntax UID.
        fragments: (first byte, bytes) of the pixel data's pieces, without the offset table.
        offsets: where each frame begins, in the standard's count; empty where the file says none.
        encapsulated: the pixel data are compressed pieces.
        missing_bytes: how much of them the file promises and does not hold.
        words_swapped: the pixel data are big-endian words.
        inflated: what the file holds after its meta header, where it is deflated; the places count
            from its first byte.
    """

    path: Path
    dataset: Dataset
    syntax: str
    fragments: tuple[tuple[int, int], ...]
    offsets: tuple[int, ...] = ()
    encapsulated: bool
    missing_bytes: int
    words_swapped: bool = False
    inflated: bytes | None = field(default=None, repr=False)

    @property
    def elementary(self) -> str:
        """FFmpeg's demuxer of the bare stream, "" where the pictures are stills."""
        number = self.syntax.removeprefix(_COMPRESSED).split(".")[0]
        return _ELEMENTARY.get(int(number), "") if number.isdigit() else ""

    @property
    def declared_frames(self) -> int:
        """What the header says, 0 when nothing that makes sense."""
        return max(0, int(self.number("NumberOfFrames") or 0))

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height by the header; 0 where it does not say."""
        return int(self.number("Columns") or 0), int(self.number("Rows") or 0)

    def number(self, keyword: str) -> Fraction | None:
        """The first value of a numeric element, None where it is absent or no number."""
        value = self.dataset.get(keyword)
        values = value if isinstance(value, list | tuple) or hasattr(value, "append") else [value]
        try:
            return Fraction(str(values[0]))
        except (ValueError, IndexError, ZeroDivisionError, TypeError):
            return None


def is_dicom(path: Path) -> bool:
    """Whether a file bears DICOM's mark (PS3.10 §7.1)."""
    try:
        with path.open("rb") as file:
            file.seek(128)
            return file.read(4) == b"DICM"
    except OSError:
        return False


def read_dicom(path: Path) -> DicomFile:
    """Read a file's header and find its pixel data.

    Raises:
        BadInput: damaged, cut off before the pictures, without pictures, or too large when it is
            inflated.
    """
    pydicom = pydicom_reader()
    try:
        inflated: bytes | None = None
        with ExitStack() as stack, quiet():
            file = stack.enter_context(bounded(path))
            syntax = _syntax(pydicom, file)
            if syntax == DEFLATED:
                inflated = inflated_from(path, file.tell())
                file = stack.enter_context(bounded_memory(inflated))
            file.seek(0)
            dataset = pydicom.dcmread(
                file,
                stop_before_pixels=True,
                defer_size=MOST_VALUE_BYTES,
                specific_tags=_TAGS,
                # What was deflated bears no mark of its own.
                force=inflated is not None,
            )
            syntax = syntax or (_IMPLICIT if dataset.original_encoding[0] else _EXPLICIT)
            places = _places(file, path, dataset, syntax)
            _leave_out_unreadable(dataset)
        return DicomFile(path=path, dataset=dataset, syntax=syntax, inflated=inflated, **places)
    except RecursionError as error:
        raise BadInput(
            f"{path.name} has a header nested too deeply to be read; it is damaged."
        ) from error
    except unreadable() as error:
        raise BadInput(
            f"{path.name} has a DICOM header that cannot be read; it is damaged or cut off.",
            f"{type(error).__name__}: {error}",
        ) from error


def _syntax(pydicom: Any, file: BinaryIO) -> str:
    """The transfer syntax that the file's meta header names, "" where it names none."""
    pydicom.filereader.read_preamble(file, force=False)
    meta = pydicom.filereader.read_dataset(
        file,
        is_implicit_VR=False,
        is_little_endian=True,
        stop_when=lambda tag, _vr, _length: tag.group != _META_GROUP,
    )
    return str(meta.get("TransferSyntaxUID", ""))


def _leave_out_unreadable(dataset: Dataset) -> None:
    """Values are converted when first asked for; those that cannot be are as good as absent."""
    from pydicom.dataelem import RawDataElement

    for tag in list(dataset.keys()):
        raw = dataset.get_item(tag, keep_deferred=True)
        if isinstance(raw, RawDataElement) and raw.value is None and raw.length:
            # Too long to be of use; asking for it would read it whole.
            del dataset[tag]
            continue
        try:
            dataset[tag]
        except unreadable():
            del dataset[tag]


def _places(file: BinaryIO, path: Path, dataset: Dataset, syntax: str) -> dict[str, Any]:
    """Read on where the header ended: the pixel data element and its items."""
    header_end = file.tell()
    size = file.seek(0, os.SEEK_END)
    file.seek(header_end)
    order = ">" if syntax == _BIG_ENDIAN else "<"
    head = file.read(8)
    # Some files are not written as their transfer syntax says.
    if head[4:6].isupper():
        head += file.read(4)
    if len(head) < 8 or _tag(head, order) != _PIXEL_DATA:
        kind = _kind(dataset)
        if kind:
            raise NoPictures(
                f"{path.name} holds no pictures ({kind}); open the recording it belongs to."
            )
        raise BadInput(f"{path.name} holds no pictures, or is cut off before them.")
    length = struct.unpack(order + "I", head[-4:])[0]
    start = file.tell()
    is_items = length == _UNDEFINED
    if not is_items and syntax.startswith(_COMPRESSED):
        is_items = _tag(file.read(4), order) == _ITEM
    if not is_items:
        there = max(0, min(length, size - start))
        return {
            "fragments": ((start, there),),
            "encapsulated": False,
            "missing_bytes": length - there,
            "words_swapped": order == ">" and head[4:6] == b"OW",
        }
    end = size if length == _UNDEFINED else min(size, start + length)
    items = list(_items(file, start, end, path))
    offsets: tuple[int, ...] = ()
    if items and _is_offset_table(file, *items[0][:2]):
        offsets = _offset_table(file, *items.pop(0)[:2])
    return {
        "fragments": tuple((at, there) for at, there, _ in items if there),
        "offsets": offsets,
        "encapsulated": True,
        "missing_bytes": sum(missing for *_, missing in items),
    }


def _items(file: BinaryIO, at: int, end: int, path: Path) -> Iterator[tuple[int, int, int]]:
    """(first byte, bytes there, bytes missing) of each item of encapsulated pixel data."""
    for _ in range(_MOST_FRAGMENTS):
        file.seek(at)
        head = file.read(8)
        if len(head) < 8 or at + 8 > end:
            return
        tag, length = _tag(head, "<"), struct.unpack("<I", head[4:])[0]
        if tag != _ITEM:
            if tag != _SEQUENCE_END:
                raise BadInput(f"{path.name} is damaged: its pictures cannot be found in it.")
            return
        there = max(0, min(length, end - at - 8))
        yield at + 8, there, 0 if length == _UNDEFINED else length - there
        at += 8 + length
    raise BadInput(f"{path.name} has more than {_MOST_FRAGMENTS} pieces; that is no recording.")


def _is_offset_table(file: BinaryIO, at: int, length: int) -> bool:
    """The first item is one unless a careless writer left it out; offsets begin with 0."""
    file.seek(at)
    return length == 0 or (length % 4 == 0 and file.read(4) == bytes(4))


def _offset_table(file: BinaryIO, at: int, length: int) -> tuple[int, ...]:
    if length > 4 * _MOST_FRAMES:
        return ()
    file.seek(at)
    return struct.unpack(f"<{length // 4}I", file.read(length))


def _tag(head: bytes, order: str) -> int:
    if len(head) < 4:
        return 0
    group, element = struct.unpack(order + "HH", head[:4])
    return int(group << 16 | element)


def _kind(dataset: Dataset) -> str:
    name = getattr(dataset.get("SOPClassUID"), "name", "")
    return "" if "." in name else name.removesuffix(" Storage")


PERSONAL = (
    "PatientName", "PatientID", "OtherPatientIDs", "OtherPatientNames", "PatientBirthDate",
    "PatientAddress", "PatientComments", "AccessionNumber", "ReferringPhysicianName",
    "PerformingPhysicianName", "OperatorsName", "InstitutionName", "StationName",
)  # fmt: skip
"""Elements of people and places, read so that their words are kept out of titles."""

_TAGS = [
    *PERSONAL,
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "InstanceNumber",
    "SpecificCharacterSet", "Modality", "AcquisitionDate", "ContentDate",
    "AcquisitionTime", "ContentTime", "AcquisitionDateTime",
    "StudyDescription", "SeriesDescription", "PerformedProcedureStepDescription", "Manufacturer",
    "ManufacturerModelName", "NumberOfFrames", "Rows", "Columns",
    "FrameTime", "FrameTimeVector", "FrameIncrementPointer", "CineRate",
    "RecommendedDisplayFrameRate", "SamplesPerPixel", "PhotometricInterpretation",
    "PlanarConfiguration", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    "SmallestImagePixelValue", "LargestImagePixelValue", "WindowCenter", "WindowWidth",
    "VOILUTFunction", "RescaleSlope", "RescaleIntercept", "RedPaletteColorLookupTableDescriptor",
    "GreenPaletteColorLookupTableDescriptor", "BluePaletteColorLookupTableDescriptor",
    "RedPaletteColorLookupTableData", "GreenPaletteColorLookupTableData",
    "BluePaletteColorLookupTableData", "ExtendedOffsetTable",
]  # fmt: skip
