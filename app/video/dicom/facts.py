"""What a DICOM header tells of the case: operation and device; never the patient. Any thread."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from app.video.dicom.file import PERSONAL, DicomFile, is_dicom, read_dicom

_DESCRIPTIONS = ("PerformedProcedureStepDescription", "StudyDescription", "SeriesDescription")
_WORD = re.compile(r"[^\W_]+")
_SHORTEST_NAME = 2
_DEVICE = re.compile(r"[^\W\d_][\w .,&/+()-]{0,39}")
# Dates and numbers of people; models are told apart by up to four digits.
_DATE_OR_NUMBER = re.compile(r"\d{5}|\d+[-./]\d+[-./]\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingFacts:
    """What a case may be called by.

    Attributes:
        descriptions: of procedure, study and series, as people typed them: a procedure may be
            recognised in them, but they are neither shown nor stored.
        device: maker and model, "" where they look like anything else.
    """

    descriptions: str
    device: str


def facts_of(path: Path) -> RecordingFacts | None:
    """The facts in a DICOM file's header; None for any other file.

    Raises:
        BadInput: as ``read_dicom``.
    """
    if not is_dicom(path):
        return None
    file = read_dicom(path)
    maker, model = (_device(file, k) for k in ("Manufacturer", "ManufacturerModelName"))
    return RecordingFacts(
        descriptions=" ".join(_text(file, keyword) for keyword in _DESCRIPTIONS),
        # Some makers, as Trocar itself, name themselves in both.
        device=(
            model if model.casefold().startswith(maker.casefold()) else f"{maker} {model}"
        ).strip(),
    )


def _device(file: DicomFile, keyword: str) -> str:
    text = _text(file, keyword)
    is_plain = _DEVICE.fullmatch(text) is not None and not _DATE_OR_NUMBER.search(text)
    return text if is_plain and not _words(text) & _personal(file) else ""


def _text(file: DicomFile, keyword: str) -> str:
    return " ".join(str(file.dataset.get(keyword) or "").split())


def _words(text: str) -> set[str]:
    return {w.casefold() for w in _WORD.findall(text)}


def _personal(file: DicomFile) -> set[str]:
    """Words of who was operated on, by whom, and where."""
    found = set[str]().union(*(_words(_text(file, keyword)) for keyword in PERSONAL))
    return {w for w in found if len(w) >= _SHORTEST_NAME}
