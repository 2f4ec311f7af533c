"""Labels into the library and out of it again: all of what is asked for, or nothing. Any thread."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from app.core.case import Asset, Case
from app.core.correction import CaseFields, Change, Correction, HumanTimeline
from app.core.errors import BadInput, Refused
from app.core.labels import LabelFile, LabelledCase, LabelRow
from app.core.taxonomy import UNKNOWN_PROCEDURE
from app.core.timeline import Segment, Timeline
from app.exchange.case_export import Exported, writing
from app.exchange.labels.anew import written_anew
from app.exchange.labels.frames import PhasesNow
from app.exchange.labels.lines import Line, Lines
from app.exchange.labels.reading import Labels, labels_in, layout_of, read_again, written
from app.store import files as store_files

if TYPE_CHECKING:
    from app.store import Library

LONGER_S = 2
_RATES = (*map(Fraction, (1, 24, 25, 30, 50, 60)), Fraction(30000, 1001))
# Published labels end up to one second off their recordings; a fiftieth more is another rate.
_OFF_S, _OFF = 1, 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an import did.

    Attributes:
        cases: the new cases, or the one that got labels.
        known: how many operations were left out, since a case has their labels already.
        notes: what a user should know, in sentences.
    """

    cases: tuple[Case, ...]
    known: int = 0
    notes: tuple[str, ...] = ()


def import_cases(library: Library, paths: Iterable[Path], *, layout: str = "") -> Imported:
    """Make a case of every operation of label files and folders, without recordings.

    Raises:
        BadInput: as ``read_labels``; nothing was imported.
        Refused: the library is open for reading only.
    """
    writer = library.writer
    found = _read(paths, layout)
    titled = [(f"{layout_of(case.layout).TITLE} {case.name}", case) for case in found.cases]
    made = writer.import_cases(titled).result()
    cases = tuple(case for case in made if case is not None)
    return Imported(cases=cases, known=len(made) - len(cases), notes=found.notes)


class DoesNotFit(BadInput):
    """Labels end well off the recording that they are laid on; a human may know better."""


def import_onto(
    library: Library, case_id: str, paths: Iterable[Path], *, layout: str = "", anyway: bool = False
) -> Imported:
    """Make the phases of label files those of a case's recording, by time.

    Labels that end up to two seconds after the recording are cut there, which is noted; time
    without labels stays without a phase. One undo takes all of it back.

    Args:
        library: open for writing.
        case_id: whose first recording it is.
        paths: label files of one operation.
        layout: read them as this layout.
        anyway: also where they seem to be of another length or rate.

    Raises:
        BadInput: the files speak of several operations or of no phases.
        DoesNotFit: they end well after the recording, or would fit it at another rate.
        Refused: the case is another operation, or has phases by a human already.
    """
    read = _read(paths, layout)
    found = read.cases
    case = library.case(case_id)
    if len(found) != 1 or found[0].phases is None or not case.assets:
        names = ", ".join(c.name for c in found[:3])
        what = f"{len(found)} operations ({names}, …)" if len(found) > 1 else "no phases"
        raise BadInput(f"Name the phase file of one operation; these speak of {what}.")
    laid, notes = _laid(library, case, found[0], anyway=anyway)
    library.writer.import_labels(laid, found[0].files).result()
    return Imported(cases=(library.case(case_id),), notes=(*notes, *read.notes))


def import_by_name(library: Library, paths: Iterable[Path], *, layout: str = "") -> Imported:
    """Make the phases of label files those of the recordings that are called as they are.

    All of what has a recording, or nothing; operations without one are counted in a note, those
    that are laid on already in ``known``.

    Raises:
        BadInput, DoesNotFit, Refused: as ``import_onto``; no recording is called so, or several.
    """
    read = _read(paths, layout)
    called: dict[str, list[Case]] = {}
    for case in library.cases():
        for file in case.assets[0].files if len(case.assets) == 1 else ():
            called.setdefault(Path(file.path).stem.casefold(), []).append(case)
    named = [one for one in read.cases if one.phases is not None and one.name.casefold() in called]
    if not named:
        names = ", ".join(one.name for one in read.cases[:3])
        raise BadInput(
            f"No case has a recording that is called as the labels are ({names}); nothing was "
            "imported."
        )
    pairs = [(_the_one(called[one.name.casefold()], one), one) for one in named]
    new = [(case, one) for case, one in pairs if not _is_laid(library, case, one)]
    laid = [(*_laid(library, case, one), one) for case, one in new]
    for correction, _, one in laid:
        library.writer.import_labels(correction, one.files).result()
    notes = [f"Case {done.case_id}: {note}" for done, some, _ in laid for note in some]
    if left := len(read.cases) - len(pairs):
        notes.append(
            "One operation of the labels has no recording here."
            if left == 1
            else f"{left} operations of the labels have no recording here."
        )
    cases = tuple(library.case(case.case_id) for case, _ in new)
    return Imported(cases=cases, known=len(pairs) - len(new), notes=(*notes, *read.notes))


def _the_one(cases: Sequence[Case], one: LabelledCase) -> Case:
    if len(cases) > 1:
        numbers = " and ".join(case.case_id for case in cases)
        raise BadInput(
            f"The recordings of cases {numbers} are all called {one.name}; say which one the "
            "labels are of (--to CASE). Nothing was imported."
        )
    return cases[0]


def _is_laid(library: Library, case: Case, one: LabelledCase) -> bool:
    here = {file.sha256 for file in library.label_files(case.case_id)}
    return any(file.sha256 in here for file in one.files)


def _laid(
    library: Library, case: Case, one: LabelledCase, *, anyway: bool = False
) -> tuple[Correction, tuple[str, ...]]:
    """What makes labels a recording's phases, and what is to be said about it."""
    asset = case.assets[0]
    if len({case.procedure, one.procedure} - {UNKNOWN_PROCEDURE}) == 2:
        raise Refused(
            f"Case {case.case_id} is a {case.procedure}, and {one.files[0].name} is of a "
            f"{one.procedure}; nothing was imported."
        )
    if library.human_timeline(asset.asset_id) is not None:
        raise Refused(
            f"Case {case.case_id} has phases by a human already; take them back first. "
            "Nothing was imported."
        )
    has_s, recording_s = one.duration_s, asset.duration_ms / 1000
    rate = _other_rate(one, recording_s)
    if not anyway and (rate or has_s > recording_s + LONGER_S):
        raise DoesNotFit(
            f"{one.files[0].name} has labels up to {has_s:.1f} s and the recording ends at "
            f"{recording_s:.1f} s; is it another one{rate}? Nothing was imported."
        )
    return _correction(case, asset, placed(one, asset), one), _ends_off(has_s - recording_s)


def placed(one: LabelledCase, asset: Asset) -> Timeline:
    """The phases in a recording's own time, and not beyond it."""
    assert one.phases is not None  # noqa: S101 - asked before
    empty = Timeline(start_pts=asset.start_pts, end_pts=asset.end_pts)
    place = PhasesNow(timeline=empty, time_base=asset.time_base)
    segments = []
    for s in one.phases.segments:
        start = place.pts(s.start_pts * one.time_base)
        end = min(place.pts(s.end_pts * one.time_base), asset.end_pts)
        if start < end:
            segments.append(Segment(start_pts=start, end_pts=end, phase=s.phase))
    return Timeline(start_pts=asset.start_pts, end_pts=asset.end_pts, segments=tuple(segments))


def _ends_off(longer_s: float) -> tuple[str, ...]:
    if longer_s >= 0.05:
        return (f"The labels go on {longer_s:.1f} s after the recording; that was cut.",)
    if longer_s < -LONGER_S:
        return (f"The last {-longer_s:.0f} s of the recording have no labels.",)
    return ()


def rows_for(files: Sequence[LabelFile], asset: Asset) -> tuple[LabelRow, ...]:
    """What label files say beside the phases, in a recording's own time and not beyond it."""
    if not files:
        return ()
    case, out = read_again(files), []
    empty = Timeline(start_pts=asset.start_pts, end_pts=asset.end_pts)
    place = PhasesNow(timeline=empty, time_base=asset.time_base)
    for row in case.rows:
        spans = (
            (place.pts(s.start_pts * case.time_base), place.pts(s.end_pts * case.time_base), s)
            for s in row.segments
        )
        kept = tuple(
            Segment(start_pts=start, end_pts=min(end, asset.end_pts), phase=s.phase)
            for start, end, s in spans
            if start < min(end, asset.end_pts)
        )
        out.append(LabelRow(name=row.name, segments=kept))
    return tuple(out)


def export_labels(library: Library, case_ids: Sequence[str], out: Path) -> Exported:
    """Write the label files that cases were imported from, with the phases that they have now.

    What nobody changed goes out byte for byte; the lines of several cases of one file are put
    together again in their old order.

    Raises:
        BadInput: a case was not imported, or says what its layout cannot say.
        EnvironmentProblem: the folder cannot be written.
    """
    whole: dict[tuple[str, str], list[Lines]] = {}
    for case_id in case_ids:
        for lines in _labels_of(library, case_id):
            whole.setdefault((lines.name, lines.sha256), []).append(lines)
    names = [name for name, _ in whole]
    with writing(out):
        path = out
        for (name, sha256), parts in whole.items():
            folder = out if names.count(name) == 1 else out / sha256[:8]
            folder.mkdir(exist_ok=True)
            path = folder / name
            store_files.write_file(path, joined(parts).content)
    count = len(whole)
    words = "1 label file" if count == 1 else f"{count} label files"
    return Exported(
        path=path if count == 1 else out,
        words=words,
        counts={"cases": len(case_ids), "files": count},
    )


def export_anew(library: Library, case_id: str, layout: str, out: Path) -> Exported:
    """Write a case's own phases as a new file of a layout; see ``written_anew``.

    Raises:
        BadInput, EnvironmentProblem: as ``written_anew``, and the folder cannot be written.
    """
    case = library.case(case_id)
    said = library.human_timeline(case.assets[0].asset_id) if case.assets else None
    if said is None:
        raise BadInput("The case has no phases of yours; mark some, or take over the model's.")
    now = PhasesNow(timeline=said.timeline, time_base=case.assets[0].time_base)
    number = int(case_id) if case_id.isdecimal() else 1
    lines = written_anew(layout, number, now)
    with writing(out):
        store_files.write_file(out / lines.name, lines.content)
    counts = {"cases": 1, "files": 1}
    return Exported(path=out / lines.name, words="1 label file", counts=counts)


def joined(parts: Sequence[Lines]) -> Lines:
    """One file of what several cases have of it; lines that they share stand once."""
    if len(parts) == 1:
        return parts[0]
    placed: dict[tuple[int, int, int], Line] = {}
    for owner, part in enumerate(parts):
        last, added = 0, 0
        for line in part.lines:
            last, added = (line.number, 0) if line.number else (last, added + 1)
            placed.setdefault((last, owner if added else -1, added), line)
    lines = tuple(placed[key] for key in sorted(placed))
    return Lines(name=parts[0].name, sha256=parts[0].sha256, lines=lines, bom=parts[0].bom)


def _labels_of(library: Library, case_id: str) -> list[Lines]:
    case = library.case(case_id)
    files = library.label_files(case_id)
    if not files:
        raise BadInput(
            f"Case {case_id} was not imported from label files; export its phases as CSV instead."
        )
    now = None
    if case.assets:
        asset = case.assets[0]
        said = library.human_timeline(asset.asset_id)
        if said is not None:
            now = PhasesNow(timeline=said.timeline, time_base=asset.time_base)
    return written(files, now)


def _read(paths: Iterable[Path], layout: str) -> Labels:
    try:
        return labels_in(paths, layout=layout)
    except BadInput as error:
        raise BadInput(f"{error.user_message} Nothing was imported.", error.detail) from error


def _correction(case: Case, asset: Asset, line: Timeline, one: LabelledCase) -> Correction:
    changes = [
        Change(
            object_id=f"timeline:{asset.asset_id}",
            before=None,
            after=HumanTimeline(asset_id=asset.asset_id, timeline=line),
        )
    ]
    if case.procedure == UNKNOWN_PROCEDURE != one.procedure:
        fields = {"title": case.title, "state": case.state.value}
        changes.append(
            Change(
                object_id="case",
                before=CaseFields(procedure=case.procedure, **fields),
                after=CaseFields(procedure=one.procedure, **fields),
            )
        )
    return Correction(case_id=case.case_id, title="Import the phases", changes=tuple(changes))


def _other_rate(one: LabelledCase, recording_s: float) -> str:
    """Which rate would let labels end with the recording that at their own do not; "" for none.

    Of labels that need not go on to the end, only a rate that explains too many counts.
    """
    said, has_s = 1 / one.time_base, one.duration_s
    off_s = has_s - recording_s
    if said not in _RATES or abs(off_s) <= max(_OFF_S, _OFF * recording_s):
        return ""
    if off_s < 0 and not layout_of(one.layout).TO_THE_END:
        return ""
    for real in _RATES:
        ends_s = has_s * float(said / real)
        if real != said and abs(ends_s - recording_s) <= max(0.15, 0.004 * recording_s):
            labels = "is there 1 label" if real == 1 else f"are there {float(real):g} labels"
            return f", or {labels} a second and not {float(said):g}"
    return ""
