"""What a DICOM header tells of the case: operation, day, device; never the patient. Any thread."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from app.video.dicom.file import DicomFile, is_dicom, read_dicom

_DESCRIPTIONS = ("PerformedProcedureStepDescription", "StudyDescription", "SeriesDescription")
_DATES = ("AcquisitionDate", "ContentDate", "StudyDate")
_WORD = re.compile(r"\w+")
_SHORTEST_NAME = 2
_LONGEST = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingFacts:
    """What a case may be called by.

    Attributes:
        operation: the procedure's or study's description, without words of the patient's name.
        day: of the recording.
        device: maker and model.
    """

    operation: str
    day: date | None
    device: str

    @property
    def title(self) -> str:
        """What to call the case, "" where the header tells nothing."""
        day = f"{self.day.day} {self.day:%B %Y}" if self.day else ""
        known = [word for word in (day, self.device) if word]
        return ", ".join([self.operation or "Recording", *known]) if known else self.operation


def facts_of(path: Path) -> RecordingFacts | None:
    """The facts in a DICOM file's header; None for any other file.

    Raises:
        BadInput: as ``read_dicom``.
    """
    if not is_dicom(path):
        return None
    file = read_dicom(path)
    said = (_text(file, keyword) for keyword in _DESCRIPTIONS)
    device = [_text(file, k) for k in ("Manufacturer", "ManufacturerModelName")]
    return RecordingFacts(
        operation=next((text for text in said if text), ""),
        day=next((d for keyword in _DATES if (d := _day(file, keyword))), None),
        device=" ".join(word for word in device if word),
    )


def _text(file: DicomFile, keyword: str) -> str:
    """A description in one line; where it holds a word of the patient's, nothing."""
    text = " ".join(str(file.dataset.get(keyword) or "").split())[:_LONGEST]
    words = {w.casefold() for w in _WORD.findall(text)}
    return "" if words & _of_patient(file) else text


def _of_patient(file: DicomFile) -> set[str]:
    named = f"{file.dataset.get('PatientName', '')} {file.dataset.get('PatientID', '')}"
    found = {w.casefold() for w in _WORD.findall(named.replace("^", " ").replace("=", " "))}
    return {w for w in found if len(w) >= _SHORTEST_NAME}


def _day(file: DicomFile, keyword: str) -> date | None:
    try:
        return datetime.strptime(str(file.dataset.get(keyword, "")), "%Y%m%d").date()  # noqa: DTZ007
    except ValueError:
        return None
