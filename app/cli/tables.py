"""``trocar models table``: LMSF-A's tables as counted here, beside what the paper prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Annotated, Any

import typer

from app.cli.common import JsonOption, emit, progress

_TITLES = {
    "III": "Ablation, accuracy (mask mAP50 and mAP50-95 in percent)",
    "V": "Ablation, size",
    "VI": "Attention in the backbone's and neck's units, all else as YOLOv8n-seg",
    "VIII": "Heads on YOLOv8n-seg",
}


def table(
    time: Annotated[
        bool, typer.Option("--time", help="Also measure a forward pass of each on this processor.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Count LMSF-A's tables III, V, VI and VIII, beside what the paper prints."""
    from models.lmsf_a.table import rows

    found = []
    with progress("Counting", quiet=as_json) as bar:
        everything = rows()
        bar.update(bar.task_ids[0], total=len(everything))
        known: dict[str, dict[str, Any]] = {}
        for done, row in enumerate(everything, 1):
            entry = asdict(row)
            if row.options is not None and row.table != "III":
                key = str(sorted(row.options.items()))
                if key not in known:
                    known[key] = _counted(row.options, time=time)
                entry |= known[key]
            found.append(entry)
            bar.update(bar.task_ids[0], completed=done)
    emit(found, as_json=as_json, text=_words(found))


def _counted(options: dict[str, object], *, time: bool) -> dict[str, Any]:
    from models.lmsf_a.table import count, cpu_ms

    return {"counted": asdict(count(options))} | ({"cpu_ms": cpu_ms(options)} if time else {})


def _words(found: Sequence[dict[str, Any]]) -> str:
    lines = []
    for name, entries in groupby(found, key=lambda e: str(e["table"])):
        of_table = list(entries)
        lines += ["", f"Table {name}: {_TITLES[name]}"]
        lines += _accuracy(of_table) if name == "III" else _sizes(of_table)
    return "\n".join(lines[1:])


def _accuracy(entries: Sequence[dict[str, Any]]) -> list[str]:
    worth = [e["paper"]["map50_95"] for e in entries]
    lines = [f"{'row':17}{'paper':>14}{'rank':>6}"]
    for entry in entries:
        paper = entry["paper"]
        rank = 1 + sum(w > paper["map50_95"] for w in worth)
        lines.append(f"{entry['name']:17}{paper['map50']:>7}{paper['map50_95']:>7}{rank:>6}")
    return [*lines, "Not measured here: of PELD's test pictures, which are not public."]


def _sizes(entries: Sequence[dict[str, Any]]) -> list[str]:
    timed = any("cpu_ms" in e for e in entries)
    head = f"{'row':17}{'parameters':>11}{'folded':>11}{'GFLOPs':>8}{'folded':>8}{'exact':>7}"
    lines = [head + (f"{'CPU-ms':>8}" if timed else "") + "   paper"]
    for entry in entries:
        line = f"{entry['name']:17}"
        if counted := entry.get("counted"):
            line += f"{counted['parameters']:>11,}{counted['fused_parameters']:>11,}"
            line += f"{counted['gflops']:>8.3f}{counted['fused_gflops']:>8.3f}"
            line += f"{counted['true_gflops']:>7.2f}"
            line += f"{entry['cpu_ms']:>8.0f}" if timed else ""
        else:
            line += " " * (45 + 8 * timed)
        paper = entry["paper"]
        printed = f"{paper['parameters_m']} M {paper['gflops']} G {paper['frames_per_second']} /s"
        lines.append(f"{line}   {printed}; {entry['note']}")
    return lines
