"""Label files of any layout to cases, and a case's files written again. Any thread.

Everything is read before anything is handed on: one bad line, and there is no case of any file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from app.core.errors import BadInput
from app.core.labels import LabelFile, LabelledCase
from app.exchange.labels import (
    autolaparo,
    cholec80,
    cholect50,
    heichole,
    jigsaws,
    multibypass140,
    ophnet,
    pitvis,
)
from app.exchange.labels.frames import PhasesNow
from app.exchange.labels.lines import Lines, lines_again, read_lines
from app.exchange.labels.together import together

SUFFIXES = (".txt", ".csv", ".json")


class Layout(Protocol):
    """What a module of a layout has.

    Attributes:
        BESIDE: names of small tables in a file's folder that say more about it.
        TO_THE_END: whether its labels stand row by row until the recording ends.
        SPLITS: by the split's name, parts and the names of their cases.
    """

    KEY: str
    TITLE: str
    PROCEDURE: str
    BESIDE: tuple[str, ...]
    TO_THE_END: bool
    SPLITS: dict[str, dict[str, frozenset[str]]]

    def named(self, name: str) -> bool:
        """Whether a file bears the name of one of its files, whatever it holds."""

    def belongs(self, lines: Lines) -> bool:
        """Whether a file is of this layout, by its name and first lines."""

    def read(self, lines: Lines, beside: Mapping[str, Lines]) -> tuple[LabelledCase, ...]:
        """The cases of a file, none where it holds no labels; ``BadInput`` names file and line."""

    def write(self, lines: Lines, now: PhasesNow, beside: Mapping[str, Lines]) -> Lines:
        """The file with the phases of now; the same bytes where they are as they were."""


LAYOUTS: tuple[Layout, ...] = (
    cholec80,
    cholect50,
    autolaparo,
    pitvis,
    ophnet,
    multibypass140,
    heichole,
    jigsaws,
)


def layout_of(key: str) -> Layout:
    """The layout of that key.

    Raises:
        BadInput: there is none.
    """
    found = next((layout for layout in LAYOUTS if key == layout.KEY), None)
    if found is None:
        known = ", ".join(layout.KEY for layout in LAYOUTS)
        raise BadInput(f"There is no label layout “{key}”; there are {known}.")
    return found


def splits_of(layout: str, name: str) -> dict[str, str]:
    """Which part of each official split a case is in."""
    parts = layout_of(layout).SPLITS.items()
    return {split: part for split, sets in parts for part, names in sets.items() if name in names}


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """What files and folders hold.

    Attributes:
        cases: by layout and name.
        notes: what was left aside, in sentences.
    """

    cases: tuple[LabelledCase, ...]
    notes: tuple[str, ...] = ()


def read_labels(paths: Iterable[Path], *, layout: str = "") -> tuple[LabelledCase, ...]:
    """All cases of some files and folders; see ``labels_in``."""
    return labels_in(paths, layout=layout).cases


def labels_in(paths: Iterable[Path], *, layout: str = "") -> Labels:
    """All cases of some files and folders; files of one case are one case, by name.

    Args:
        paths: what in a folder is no label file is left aside, which is noted; a file that is
            named must be one, and so must a file of a folder that is called like those of a layout
            of which there are others, or where there are none.
        layout: key of the layout to read all of it as; "" finds it by the files.

    Raises:
        BadInput: a file is bad, of no known layout, or two of one case contradict each other.
    """
    only = (layout_of(layout),) if layout else LAYOUTS
    merged: dict[tuple[str, str], LabelledCase] = {}
    found: set[str] = set()
    aside: list[tuple[Path, BadInput | None]] = []
    for path, is_named in _files(paths):
        try:
            lines = read_lines(path)
            known = _layout_for(lines, only)
            if known is None:
                raise _of_no_layout(path, only)
        except BadInput as error:
            if is_named:
                raise
            aside.append((path, error))
            continue
        cases = known.read(lines, _beside(path, known))
        if cases:
            found.add(known.KEY)
        else:
            aside.append((path, None))
        for case in cases:
            before = merged.get((case.layout, case.name))
            merged[(case.layout, case.name)] = together(before, case) if before else case
    for path, why in aside:
        called = _called(path, only)
        if why is not None and called is not None and (called.KEY in found or not found):
            raise why
    if not merged:
        raise BadInput("There is no label file of a known layout there.")
    return Labels(cases=tuple(merged.values()), notes=left_aside([path for path, _ in aside]))


def has_labels(paths: Iterable[Path]) -> bool:
    """Whether some files and folders hold a label file of a known layout, or one called so."""
    for path, _ in _files(paths):
        if path.suffix.casefold() not in SUFFIXES:
            continue
        if _called(path, LAYOUTS) is not None:
            return True
        try:
            if _layout_for(read_lines(path), LAYOUTS) is not None:
                return True
        except BadInput:
            continue
    return False


def read_again(files: Sequence[LabelFile]) -> LabelledCase:
    """What a case's own files say, as they were imported."""
    parts = [case for layout, lines, beside in _again(files) for case in layout.read(lines, beside)]
    case = parts[0]
    for other in parts[1:]:
        case = together(case, other)
    return case


def written(files: Sequence[LabelFile], now: PhasesNow | None) -> list[Lines]:
    """A case's own files with the phases of now; as they came where there are none.

    Raises:
        BadInput: the layout has no way to say what the case says now.
    """
    done = {
        lines.name: layout.write(lines, now, beside)
        for layout, lines, beside in _again(files)
        if now is not None
    }
    return [done.get(file.name) or lines_again(file) for file in files]


def _again(files: Sequence[LabelFile]) -> list[tuple[Layout, Lines, dict[str, Lines]]]:
    out = []
    for file in files:
        layout = layout_of(file.layout)
        beside = {f.name: lines_again(f) for f in files if f.name in layout.BESIDE}
        if file.name not in layout.BESIDE:
            out.append((layout, lines_again(file), beside))
    return out


def label_files(paths: Iterable[Path], suffixes: tuple[str, ...] = SUFFIXES) -> list[Path]:
    """The files with these endings among some files and in some folders, in order."""
    return [path for path, _ in _files(paths) if path.name.casefold().endswith(suffixes)]


def _files(paths: Iterable[Path]) -> list[tuple[Path, bool]]:
    """Files in order, and whether each was named itself."""
    out: dict[Path, bool] = {}
    for path in paths:
        if not path.is_dir():
            out[path] = True
            continue
        for folder, _, names in sorted(os.walk(path)):
            for name in sorted(names):
                if name.casefold().endswith(SUFFIXES):
                    out.setdefault(Path(folder) / name, False)
    return list(out.items())


def _of_no_layout(path: Path, layouts: Sequence[Layout]) -> BadInput:
    titles = ", ".join(layout.TITLE for layout in layouts)
    called = _called(path, layouts)
    if called is not None:
        return BadInput(
            f"{path.name}, line 1: it is called like a label file of {called.TITLE} and is not "
            "written like one; correct it, or take it out of the folder."
        )
    return BadInput(
        f"{path.name} is no label file of {titles}. Files are known by their names, as they were "
        "published, and by their first line."
    )


def _called(path: Path, layouts: Sequence[Layout]) -> Layout | None:
    return next((layout for layout in layouts if layout.named(path.name)), None)


def left_aside(paths: Sequence[Path]) -> tuple[str, ...]:
    """What to say of files of a folder that are no label files; tables beside them are known."""
    tables = {name for layout in LAYOUTS for name in layout.BESIDE}
    names = [path.name for path in paths if path.name not in tables]
    if not names:
        return ()
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    what = (
        "1 file is no label file and was"
        if len(names) == 1
        else (f"{len(names)} files are no label files and were")
    )
    return (f"{what} left aside: {', '.join(names[:5])}{more}.",)


def _layout_for(lines: Lines, layouts: Sequence[Layout]) -> Layout | None:
    return next((layout for layout in layouts if layout.belongs(lines)), None)


def _beside(path: Path, layout: Layout) -> dict[str, Lines]:
    found: dict[str, Lines] = {}
    for name in layout.BESIDE:
        for folder in (path.parent, path.parent / "tables", path.parent.parent):
            if (folder / name).is_file() and folder / name != path:
                found.setdefault(name, read_lines(folder / name))
    return found
