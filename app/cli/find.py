"""``trocar find``: moments of the library that look like one of them, or like what words say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.common import JsonOption, LibraryOption, emit, open_library
from app.core.errors import BadInput
from app.core.taxonomy import find_taxonomy, list_taxonomies
from app.ui.moments import Here, parse_moment
from app.ui.words import fine_moment, moment

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from app.analysis.moment_rows import Encoder
    from app.analysis.moments import Moment, MomentIndex, Wanted
    from app.core.case import Asset
    from app.store import Library

NOTHING_SO = "No moment passes these filters."


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("find")
    def find(
        case: Annotated[
            str | None, typer.Argument(help="The case to look from.", show_default=False)
        ] = None,
        at: Annotated[
            str | None,
            typer.Option(
                help="A moment of its first recording: seconds, or 7:09.5.", show_default=False
            ),
        ] = None,
        like: Annotated[
            str | None,
            typer.Option(help="Both at once, as CASE@SECONDS.", show_default=False),
        ] = None,
        text: Annotated[
            str | None,
            typer.Option(
                help="Words of a prompt that a model of SurgVLP's family was imported with.",
                show_default=False,
            ),
        ] = None,
        phase: Annotated[
            list[str] | None, typer.Option(help="In this phase; may be repeated.")
        ] = None,
        instrument: Annotated[
            list[str] | None,
            typer.Option(help="With this in view, outlined or told by a model; may be repeated."),
        ] = None,
        within: Annotated[
            list[str] | None, typer.Option("--case", help="Of this case; may be repeated.")
        ] = None,
        model: Annotated[
            str | None,
            typer.Option(
                help="Whose frame features are compared. Default: that saw the most cases."
            ),
        ] = None,
        limit: Annotated[int, typer.Option(help="How many at most.", min=1)] = 12,
        library: LibraryOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Find moments of all analysed cases that look like one, or like what words say."""
        from app.analysis.moments import MomentIndex

        if text is not None and (case, at, like) != (None, None, None):
            raise typer.BadParameter("give --text, or a moment, not both")
        place = _asked(case, at, like) if text is None else None
        with open_library(library, "read") as opened:
            for other in within or ():
                opened.case(other)
            index = MomentIndex(opened)
            if place is None:
                index.refresh()
                target = _by_words(index, opened, text or "", model)
            else:
                target = _by_moment(index, opened, *place, model)
            encoder = target.encoder
            wanted = _wanted(index, encoder, phase or (), instrument or (), within or ())
            found = index.search(
                encoder, target.vector, wanted, apart_from=target.apart_from, limit=limit
            )
            lacking = [c.case_id for c in index.lacking(encoder)]
            seconds = index.seconds(encoder)
        data = {
            "model": encoder.model,
            "prompt": target.prompt,
            "weights_sha256": encoder.weights_sha256,
            "seconds_searched": seconds,
            "cases_lacking": lacking,
            "moments": [_as_json(m) for m in found],
        }
        none = NOTHING_SO if wanted != type(wanted)() else "No other moment is like it."
        emit(data, as_json=as_json, text=_words(found, encoder, seconds, lacking, none))


def _asked(case: str | None, at: str | None, like: str | None) -> tuple[str, str]:
    if like is not None and case is None and at is None:
        case, _, at = like.rpartition("@")
        if not case:
            raise typer.BadParameter("--like takes CASE@SECONDS, such as 0003@429.5")
    if case is None or at is None or (like is not None and f"{case}@{at}" != like):
        raise typer.BadParameter(
            "name a case with --at TIME, or --like CASE@SECONDS, or give --text"
        )
    return case, at


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Target:
    """What is looked for: a vector of an encoder; the prompt, or the moment, that it is of."""

    encoder: Encoder
    vector: NDArray[np.float32]
    prompt: str = ""
    apart_from: tuple[str, float] | None = None


def _by_moment(
    index: MomentIndex, library: Library, case_id: str, time_text: str, model: str | None
) -> _Target:
    asset = _recording(library, case_id)
    time_ms = _time_ms(time_text, asset)
    index.refresh()
    encoder = _encoder(index, case_id, asset, model)
    vector = index.vector_at(encoder, asset.asset_id, time_ms)
    if not vector.size:
        raise BadInput(
            f"{encoder.model} did not see case {case_id} at {fine_moment(time_ms)}; "
            "analyse the case to its end."
        )
    return _Target(encoder=encoder, vector=vector, apart_from=(asset.asset_id, time_ms))


def _by_words(index: MomentIndex, library: Library, words: str, model: str | None) -> _Target:
    """The prompt of these very words, else the one prompt that has them all."""
    from app.inference.prompts import prompts_of

    able = [e for e in index.encoders() if e.reads_words and model in (None, e.model)]
    known = {e: prompts_of(e.model, e.weights_sha256, library.folder) for e in able}
    encoder = next((e for e in able if known[e]), None)
    if encoder is None:
        raise BadInput(
            "No case was seen by a model that reads words; import one of SurgVLP's family with "
            "“trocar models import FILE --prompts FILE”, and analyse with --model."
        )
    prompts = known[encoder]
    wanted = _plain(words).split()
    same = [p for p in prompts if _plain(p) == _plain(words)]
    fitting = same or [p for p in prompts if wanted and all(w in _plain(p) for w in wanted)]
    if len(fitting) != 1:
        there = "; ".join(fitting or prompts)
        what = "several prompts have" if fitting else "no prompt has"
        raise BadInput(f"Of {encoder.model}, {what} the words “{words}”: {there}.")
    return _Target(encoder=encoder, vector=prompts[fitting[0]], prompt=fitting[0])


def _recording(library: Library, case_id: str) -> Asset:
    case = library.case(case_id)
    if not case.assets or not case.assets[0].has_recording:
        raise BadInput(f"Case {case_id} has no recording, so no moment looks like one of it.")
    return case.assets[0]


def _time_ms(text: str, asset: Asset) -> float:
    here = Here(frames=asset.frames, duration_ms=asset.duration_ms, index=0, time_ms=0.0)
    number = text.replace(",", ".", 1)
    if number.replace(".", "", 1).isdecimal():
        text = f"{number} s"  # as all commands count, not frames as the window does
    kind, value = parse_moment(text, here)
    if kind == "frame":
        return value * asset.duration_ms / asset.frames
    return value


def _encoder(index: MomentIndex, case_id: str, asset: Asset, model: str | None) -> Encoder:
    able = index.encoders(asset.asset_id)
    if not able:
        raise BadInput(
            f"No model has kept frame features of case {case_id}; analyse it first, with "
            f"“trocar analyze --case {case_id}”."
        )
    named = [e for e in able if model in (None, e.model)]
    if not named:
        names = ", ".join(dict.fromkeys(e.model for e in able))
        raise BadInput(f"{model} has kept no frame features of case {case_id}; {names} has.")
    return named[0]


def _wanted(
    index: MomentIndex,
    encoder: Encoder,
    phases: Sequence[str],
    instruments: Sequence[str],
    cases: Iterable[str],
) -> Wanted:
    from app.analysis.moments import Wanted

    return Wanted(
        phases=_keys(phases, index.phases(encoder), "phase"),
        instruments=_keys(instruments, index.instruments(encoder), "instrument"),
        cases=frozenset(cases),
    )


def _keys(asked: Sequence[str], known: Sequence[str], what: str) -> frozenset[str]:
    """Keys of what was asked for by key or by name."""
    names = {key: key.replace("_", " ") for key in known}
    by_word = {_plain(key): key for key in known}
    for taxonomy in list_taxonomies():
        named = taxonomy.phases if what == "phase" else taxonomy.instruments
        names |= {n.key: n.name for n in named if n.key in known}
        by_word |= {_plain(n.name): n.key for n in named if n.key in known}
    for word in asked:
        if _plain(word) not in by_word:
            there = ", ".join(names[key] for key in known) or "none"
            raise BadInput(f"No case that is searched has the {what} “{word}”; there are: {there}.")
    return frozenset(by_word[_plain(word)] for word in asked)


def _plain(words: str) -> str:
    return words.lower().replace("_", " ").strip()


def _as_json(found: Moment) -> dict[str, Any]:
    return {
        "case": found.case.case_id,
        "title": found.case.title,
        "recording": found.case.assets.index(found.asset) + 1,
        "seconds": found.time_ms / 1000,
        "first_seconds": found.first_ms / 1000,
        "last_seconds": found.last_ms / 1000,
        "pts": found.pts,
        "phase": found.phase,
        "phase_by": ("human" if found.human else "model") if found.phase else "",
        "similarity": round(found.similarity, 4),
    }


def _words(
    found: Sequence[Moment], encoder: Encoder, seconds: int, lacking: Sequence[str], none: str
) -> str:
    lines = [
        f"{m.case.case_id}  {moment(m.time_ms):>8}  {m.similarity:5.2f}  "
        f"{_phase_name(m):<28}{m.case.title}"
        for m in found
    ] or [none]
    lines.append(f"{seconds} seconds searched, as {encoder.model} sees them.")
    if lacking:
        lines.append(
            f"Not searched, since {encoder.model} did not see them: {', '.join(lacking)}. "
            f"“trocar analyze --case {lacking[0]} --model {encoder.model}” adds one."
        )
    return "\n".join(lines)


def _phase_name(found: Moment) -> str:
    return find_taxonomy(found.procedure).phase_name(found.phase) if found.phase else "-"
