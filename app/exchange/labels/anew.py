"""Label files for phases that no file said before: an empty one of the layout, then written over.

Any thread. CholecT50 is left out: its rows are triplets, which nobody marks in Trocar.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from app.core.errors import BadInput
from app.exchange.labels import heichole, multibypass140
from app.exchange.labels.frames import PhasesNow
from app.exchange.labels.lines import Lines, lines_of
from app.exchange.labels.reading import layout_of


def _cholec80(number: int, seconds: int) -> tuple[str, str]:
    rows = "".join(f"{frame}\tPreparation\n" for frame in range(25 * seconds))
    return f"video{number:02d}-phase.txt", "Frame\tPhase\n" + rows


def _autolaparo(number: int, seconds: int) -> tuple[str, str]:
    rows = "".join(f"{second + 1}\t1\n" for second in range(seconds))
    return f"label_{number:02d}.txt", "Frame\tPhase\n" + rows


def _pitvis(number: int, seconds: int) -> tuple[str, str]:
    rows = "".join(f"{second},-1\n" for second in range(seconds))
    return f"annotations_{number:02d}.csv", "int_time,int_step\n" + rows


def _heichole(number: int, seconds: int) -> tuple[str, str]:
    rate = 50 if number in heichole.AT_50_FPS else 25
    rows = "".join(f"{frame},0\n" for frame in range(rate * seconds))
    return f"Hei-Chole{number}_Annotation_Phase.csv", rows


def _ophnet(number: int, seconds: int) -> tuple[str, str]:
    head = "video_id,start,end,split,surgery_id,phase_id\n"
    return f"case_{number:04d}.csv", f"{head}case_{number:04d},0,{seconds},train,0,0\n"


def _multibypass140(number: int, seconds: int) -> tuple[str, str]:
    key, label = next(iter(multibypass140.NUMBERS.items()))
    whole = {"start": 0, "end": 1000 * seconds, "label_name": key, "label_id": label}
    return f"case_{number:04d}.mp4.json", json.dumps({"phases": [whole], "steps": []})


def _jigsaws(number: int, seconds: int) -> tuple[str, str]:
    return f"Suturing_T{number:03d}.txt", f"1 {30 * seconds} G1 \n"


_EMPTY: dict[str, Callable[[int, int], tuple[str, str]]] = {
    "cholec80": _cholec80,
    "autolaparo": _autolaparo,
    "pitvis": _pitvis,
    "heichole": _heichole,
    "ophnet": _ophnet,
    "multibypass140": _multibypass140,
    "jigsaws": _jigsaws,
}


def written_anew(layout: str, number: int, now: PhasesNow) -> Lines:
    """A file of phases in a layout.

    Args:
        layout: key.
        number: what stands in the file's name for the case.
        now: the phases; of layouts with a row a frame, up to the last whole second.

    Raises:
        BadInput: there is no phase, one that the layout does not have, or a gap that it cannot say.
    """
    known = layout_of(layout)
    if layout not in _EMPTY:
        raise BadInput(f"{known.TITLE} cannot be written for phases that were marked in Trocar.")
    ends = [end for _, end, _ in now.segments()]
    if not ends:
        raise BadInput("The case has no phases of yours; mark some, or take over the model's.")
    name, text = _EMPTY[layout](number, max(1, int(max(ends))))
    return known.write(lines_of(name, text.encode()), now, {})
