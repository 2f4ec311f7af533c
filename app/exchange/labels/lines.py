"""A label file as its lines: bytes, line numbers and ends of lines stay as they are. Any thread."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from math import isfinite
from pathlib import Path
from typing import Any

from app.core.errors import BadInput
from app.core.labels import LabelFile
from app.exchange.jsonfile import parse_json, unread

MAX_BYTES = 256 * 2**20
_BOM = "\N{ZERO WIDTH NO-BREAK SPACE}"
_END = re.compile(r"(\r\n|\n|\r)")
_WHOLE = re.compile(r"-?[0-9]{1,9}")
_NUMBER = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,9})?")


@dataclass(frozen=True, slots=True)
class Line:
    """One line.

    Attributes:
        number: in the file, from 1; 0 for a line that was added.
        text: without its end, and without the file's byte-order mark.
        end: what ends it, "" for a last line without.
    """

    number: int
    text: str
    end: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """A text file; ``bom`` says that it begins with a byte-order mark."""

    name: str
    sha256: str
    lines: tuple[Line, ...]
    bom: bool = False

    @property
    def text(self) -> str:
        """The whole text, without a byte-order mark."""
        return "".join(line.text + line.end for line in self.lines)

    @property
    def content(self) -> bytes:
        """The file's bytes."""
        return (_BOM * self.bom + self.text).encode()

    def changed(self, texts: Mapping[int, str]) -> Lines:
        """The same with other texts for lines, by place in ``lines``."""
        lines = tuple(
            replace(line, text=texts[i]) if i in texts else line
            for i, line in enumerate(self.lines)
        )
        return replace(self, lines=lines)

    def bad(self, line: Line, what: str) -> BadInput:
        """What to raise for a line: names the file and the line."""
        return BadInput(f"{self.name}, line {line.number}: {what}.")

    def filled(self) -> list[tuple[int, Line]]:
        """Lines that hold something, with their places."""
        return [(i, line) for i, line in enumerate(self.lines) if line.text.strip()]

    def json(self) -> Any:
        """The file as JSON of finite numbers and unique keys; ``BadInput`` where it is not."""
        return parse_json(self.text, self.name)

    def part(self, layout: str, places: Iterable[int] | None = None) -> LabelFile:
        """What a case keeps of this file: all of it, or the lines at some places."""
        if places is None:
            return LabelFile(
                layout=layout, name=self.name, sha256=self.sha256, content=self.content
            )
        own = replace(self, lines=tuple(self.lines[i] for i in places))
        return LabelFile(
            layout=layout,
            name=self.name,
            sha256=self.sha256,
            content=own.content,
            numbers=tuple(line.number for line in own.lines),
        )


def read_lines(path: Path) -> Lines:
    """Read a label file.

    Raises:
        BadInput: it is missing, cannot be read, is larger than 256 MiB, or no UTF-8 text.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadInput(f"{path.name} is larger than 256 MiB; it was not read.")
        data = path.read_bytes()
    except OSError as error:
        raise unread(path, error) from error
    return lines_of(path.name, data)


def lines_of(name: str, data: bytes, *, sha256: str = "", numbers: Iterable[int] = ()) -> Lines:
    """The lines of a file's bytes; ``BadInput`` where they are no UTF-8 text."""
    bad_at, why = data.find(b"\0"), "zero bytes"  # as UTF-16 has them
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        text, bad_at, why = "", error.start, str(error)
    if bad_at >= 0:
        line = data[:bad_at].count(b"\n") + 1
        raise BadInput(f"{name}, line {line}: it is not UTF-8 text; save the file as UTF-8.", why)
    bom = text.startswith(_BOM)
    pieces = _END.split(text[1:] if bom else text)
    texts, ends = pieces[::2], [*pieces[1::2], ""]
    if texts[-1] == "":
        texts, ends = texts[:-1], ends[:-1]
    given = tuple(numbers) or range(1, len(texts) + 1)
    lines = tuple(Line(*parts) for parts in zip(given, texts, ends, strict=True))
    sha = sha256 or hashlib.sha256(data).hexdigest()
    return Lines(name=name, sha256=sha, lines=lines, bom=bom)


def whole(word: str) -> int | None:
    """A whole number of up to nine digits, None for anything else."""
    return int(word) if _WHOLE.fullmatch(word) else None


def number(word: str) -> Fraction | None:
    """A number such as ``-12.50``, exactly, None for anything else."""
    return Fraction(word) if _NUMBER.fullmatch(word) else None


def finite(word: object) -> float | None:
    """A score or a time that a program computed, None for what is no finite number."""
    try:
        value = float(str(word))
    except ValueError:
        return None
    return value if isfinite(value) else None


def lines_again(file: LabelFile) -> Lines:
    """The lines that a case kept of a file."""
    return lines_of(file.name, file.content, sha256=file.sha256, numbers=file.numbers)
