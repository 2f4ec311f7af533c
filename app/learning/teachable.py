"""Which cases of a library can teach a model, what each would teach it, and why others cannot.

Looks at what is written down alone: no recording is opened. Runs on a command's thread or on
``trocar-teaching``. No torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from app.core.prediction import SEGMENTATION

if TYPE_CHECKING:
    from app.core.case import Asset, Case
    from app.store import Library
    from models import ModelCard

    _Judge = Callable[[Case], "Material | str"]

LABELS_ALONE = "with labels alone, no recording"
GONE = "whose recording is not where it was"
OTHER_PHASES = "with none of its phases"
NO_PHASES = "without phases of yours"
NO_OUTLINES = "without corrected outlines"
NOT_ANALYSED = "not analysed with {} yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What a case would teach.

    Attributes:
        case: it.
        frames: with outlines that a human drew, corrected or called complete.
        phases: how many of the model's phases a human named.
        seconds: how long those last.
    """

    case: Case
    frames: int = 0
    phases: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Teachable:
    """Cases that can teach a model, and others.

    Attributes:
        able: the newest first.
        left_out: numbers of other cases, by why.
    """

    able: tuple[Material, ...]
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def left_out_words(self) -> str:
        """``756 with labels alone, no recording; 2 without phases of yours``; "" without any."""
        return "; ".join(f"{len(cases)} {why}" for why, cases in self.left_out.items())


def held_out_of(groups: Sequence[str], every: int) -> tuple[str, ...]:
    """Of whole operations, those that are measured on: each N-th, one at least of several."""
    return tuple(groups[every - 1 :: every] or groups[1:][-1:])


def what_teaches(library: Library, cases: Sequence[Case], base: ModelCard) -> Teachable:
    """Looks through cases for what can teach a model.

    Args:
        library: that holds them.
        cases: of it.
        base: the model that is to be taught.

    Raises:
        BadInput: the encoder whose features it reads is not installed.
    """
    able: list[Material] = []
    left_out: dict[str, list[str]] = {}
    judge = _of_outlines(library) if base.task == SEGMENTATION else _of_phases(library, base)
    for case in sorted(cases, key=lambda c: (c.created_utc_ms, c.case_id), reverse=True):
        found = judge(case)
        if isinstance(found, Material):
            able.append(found)
        else:
            left_out.setdefault(found, []).append(case.case_id)
    most = sorted(left_out.items(), key=lambda reason: -len(reason[1]))
    return Teachable(able=tuple(able), left_out={why: tuple(ids) for why, ids in most})


def _of_outlines(library: Library) -> _Judge:
    worked = library.worked_frames()

    def judge(case: Case) -> Material | str:
        frames = sum(worked.get(asset.asset_id, 0) for asset in case.assets)
        if not frames:
            return NO_OUTLINES
        if not all(_is_there(a) for a in case.assets if worked.get(a.asset_id)):
            return GONE
        return Material(case=case, frames=frames)

    return judge


def _of_phases(library: Library, base: ModelCard) -> _Judge:
    from app.inference.cards import find_model

    encoder = find_model(base.features_of, library.folder) if base.features_of else None

    def judge(case: Case) -> Material | str:
        seconds, phases, why = 0.0, set[str](), NO_PHASES
        for asset in case.assets:
            human = library.human_timeline(asset.asset_id)
            if human is None or not human.timeline.segments:
                continue
            known = [s for s in human.timeline.segments if s.phase in base.class_keys]
            why = _why_not(library, case, asset, encoder) if known else OTHER_PHASES
            if not why:
                phases |= {s.phase for s in known}
                seconds += float(sum(s.end_pts - s.start_pts for s in known) * asset.time_base)
        return Material(case=case, phases=len(phases), seconds=seconds) if phases else why

    return judge


def _why_not(library: Library, case: Case, asset: Asset, encoder: ModelCard | None) -> str:
    if encoder is not None:
        wanted = (encoder.name, encoder.weights_sha256)
        runs = library.predictions(case.case_id).runs(asset.asset_id)
        whole = (r for r in runs if r.finished and not r.was_live)
        analysed = any((r.model, r.weights_sha256) == wanted for r in whole)
        return "" if analysed else NOT_ANALYSED.format(encoder.title)
    if not asset.has_recording:
        return LABELS_ALONE
    return "" if _is_there(asset) else GONE


def _is_there(asset: Asset) -> bool:
    return all(Path(file.path).is_file() for file in asset.files)
