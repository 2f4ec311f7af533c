"""A video stream as DICOM Video Endoscopic Image Storage, under a header made anew.

Nothing of the recording's own header or metadata goes along. The stream is copied byte for byte
into pixel data (PS3.5 §8.2, §A.4; PS3.3 §A.32.5). Runs on the caller's thread.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from app import __version__
from app.core.errors import BadInput
from app.core.resources import RESEARCH_USE
from app.video.dicom.stream import Coding
from app.video.written_whole import written_whole

if TYPE_CHECKING:
    from pydicom import Dataset

VIDEO_ENDOSCOPIC = "1.2.840.10008.5.1.4.1.1.77.1.1.1"
MODALITY = "ES"
_FRAGMENTABLE = ".1"
# One item of pixel data holds less than 4 GiB, in an even number of bytes.
_MOST_ITEM_BYTES = 0xFFFFFFFE
_CHUNK_BYTES = 1 << 22
METHODS = {"h264": "ISO_14496_10", "hevc": "ISO_23008_2", "mpeg2video": "ISO_13818_2"}
_RATES_ALIKE = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoHeader:
    """What the header says of a stream; nothing that tells whose recording it is.

    Attributes:
        instance_uid, series_uid, study_uid: see ``uid_of``.
        patient_id: a number that means nothing outside the library.
        study: which operation.
        series: what the stream is.
        step_ms: from each frame to the next, and of the last one.
        anatomy: SNOMED CT code and meaning of what is looked at.
        sample_aspect: width of a pixel over its height.
    """

    instance_uid: str
    series_uid: str
    study_uid: str
    patient_id: str
    study: str
    series: str
    step_ms: Sequence[Fraction]
    anatomy: tuple[str, str] = ("38266002", "Entire body")
    sample_aspect: Fraction = Fraction(1)


def uid_of(*words: str) -> str:
    """A UID for life of something named by these words, under 2.25 (PS3.5 §B.2)."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, '/'.join(words)).int}"


_NAMESPACE = uuid.UUID("6a1d3f0e-64f2-4f0c-9c39-6f1c2d0a7b55")


def video_dataset(header: VideoHeader, coding: Coding) -> Dataset:
    """The header as a dataset without pixel data."""
    from pydicom import Dataset

    ds = Dataset()
    ds.ImageType = ["DERIVED", "PRIMARY"]
    ds.SOPClassUID, ds.SOPInstanceUID = VIDEO_ENDOSCOPIC, header.instance_uid
    ds.StudyInstanceUID, ds.SeriesInstanceUID = header.study_uid, header.series_uid
    for keyword in (
        "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "PatientName",
        "PatientBirthDate", "PatientSex", "StudyID", "PatientOrientation",
    ):  # fmt: skip
        setattr(ds, keyword, "")
    ds.PatientID = header.patient_id
    ds.PatientIdentityRemoved = "YES"
    ds.DeidentificationMethod = "Header made anew; nothing of the recording's own was kept"
    ds.Modality, ds.Manufacturer, ds.ManufacturerModelName = MODALITY, "Trocar", "Trocar"
    ds.SoftwareVersions = __version__
    ds.StudyDescription, ds.SeriesDescription = header.study[:64], header.series[:64]
    ds.ImageComments = RESEARCH_USE
    ds.SeriesNumber, ds.InstanceNumber = 1, 1
    ds.AcquisitionContextSequence = []
    region = Dataset()
    region.CodeValue, region.CodeMeaning = header.anatomy
    region.CodingSchemeDesignator = "SCT"
    ds.AnatomicRegionSequence = [region]
    _describe_pixels(ds, header, coding)
    _describe_times(ds, header.step_ms)
    return ds


def _describe_pixels(ds: Dataset, header: VideoHeader, coding: Coding) -> None:
    ds.SamplesPerPixel, ds.PlanarConfiguration = 3, 0
    ds.PhotometricInterpretation = "YBR_PARTIAL_420"
    ds.NumberOfFrames = len(header.step_ms)
    ds.Rows, ds.Columns = coding.height_px, coding.width_px
    ds.BitsAllocated = 8 if coding.bits == 8 else 16
    ds.BitsStored, ds.HighBit, ds.PixelRepresentation = coding.bits, coding.bits - 1, 0
    if header.sample_aspect != 1:
        # Vertical over horizontal extent of a pixel (PS3.3 §C.7.6.3.1.7).
        ratio = (1 / header.sample_aspect).limit_denominator(9999)
        ds.PixelAspectRatio = [ratio.numerator, ratio.denominator]
    ds.LossyImageCompression = "01"
    ds.LossyImageCompressionMethod = METHODS[coding.codec]
    ds.LossyImageCompressionRatio = f"{coding.lossy_ratio:.2f}"


def _describe_times(ds: Dataset, step_ms: Sequence[Fraction]) -> None:
    mean = sum(step_ms, Fraction(0)) / len(step_ms)
    ds.FrameTime = f"{float(mean):.6g}"
    ds.FrameIncrementPointer = 0x00181063
    ds.CineRate = ds.RecommendedDisplayFrameRate = max(1, round(1000 / mean))
    if max(step_ms) - min(step_ms) > max(2, mean * Fraction(_RATES_ALIKE)):
        # From the frame before to this one; the first has none (PS3.3 §C.7.6.5.1.2).
        ds.FrameTimeVector = [0, *(f"{float(s):.6g}" for s in step_ms[:-1])]
        ds.FrameIncrementPointer = 0x00181065
        del ds.FrameTime


def write_dicom_video(
    stream: Path,
    out: Path,
    header: VideoHeader,
    coding: Coding,
    *,
    most_item_bytes: int = _MOST_ITEM_BYTES,
) -> None:
    """Write ``stream`` (MP4 or MPEG-TS) into a DICOM file; it has its name only when it is whole.

    Args:
        stream: the file whose bytes become pixel data.
        out: the file to write.
        header, coding: what is said of it.
        most_item_bytes: room of one piece of pixel data; a longer stream is written in several,
            under the fragmentable transfer syntax.

    Raises:
        BadInput: no transfer syntax takes the stream.
        EnvironmentProblem: the file cannot be written.
    """
    from pydicom.dataset import FileMetaDataset

    if not coding.syntax:
        raise BadInput(
            f"{out.name} was not written: DICOM takes no video of {coding.width_px} x "
            f"{coding.height_px} pixels at this rate."
        )
    size = stream.stat().st_size
    pieces = -(-size // most_item_bytes)
    ds = video_dataset(header, coding)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = coding.syntax + (_FRAGMENTABLE if pieces > 1 else "")
    ds.file_meta.MediaStorageSOPClassUID = VIDEO_ENDOSCOPIC
    ds.file_meta.MediaStorageSOPInstanceUID = header.instance_uid
    with written_whole(out) as part:
        ds.save_as(part, enforce_file_format=True)
        with part.open("ab") as file, stream.open("rb") as given:
            file.write(struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF))
            file.write(_item(0))
            for number in range(pieces):
                length = min(most_item_bytes, size - number * most_item_bytes)
                file.write(_item(length + length % 2))
                _copy(given, file, length)
                file.write(bytes(length % 2))
            file.write(struct.pack("<HHI", 0xFFFE, 0xE0DD, 0))


def _item(length: int) -> bytes:
    return struct.pack("<HHI", 0xFFFE, 0xE000, length)


def _copy(given: BinaryIO, file: BinaryIO, length: int) -> None:
    while length:
        chunk = given.read(min(length, _CHUNK_BYTES))
        file.write(chunk)
        length -= len(chunk)
