"""Cases of recordings whose colour tells the phase, with labels as Cholec80 has them.

A white square in a corner is the grasper; it is there in every other stretch of five seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.core.case import Case
from app.exchange.labels.library import import_onto
from app.store import Library
from app.video import describe_asset
from app.video.encode import write_video

PHASES = ("Preparation", "CalotTriangleDissection", "ClippingCutting")
KEYS = ("preparation", "calot_triangle_dissection", "clipping_cutting")
COLOURS = ((200, 40, 40), (40, 200, 40), (40, 40, 200))
SIZE_PX = (64, 48)
STRETCH_S = 5


def colour_case(
    library: Library,
    folder: Path,
    number: int,
    seconds: Sequence[int] = (12, 14, 10),
    *,
    labelled_s: int | None = None,
) -> Case:
    """A case of the recording ``videoNN``, one frame a second, its labels imported.

    Args:
        library: open for writing.
        folder: where recording and labels are written.
        number: of the video.
        seconds: that each phase lasts, in order.
        labelled_s: seconds with labels, where those are fewer; 0 imports none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    phases = np.repeat(np.arange(len(seconds)), seconds)
    path = folder / f"video{number:02d}.mp4"
    write_video(path, (_picture(int(p), s) for s, p in enumerate(phases)), fps=1, gop=8)
    asset = describe_asset(path, f"asset-{number}")
    case = library.writer.create_case("Operation", "unknown", (asset,)).result()
    if labelled_s != 0:
        files = label_files(folder, number, phases[:labelled_s])
        import_onto(library, case.case_id, files)
    return library.case(case.case_id)


def label_files(folder: Path, number: int, phases: NDArray[np.int64]) -> list[Path]:
    """Phases at 25 a second and two tools every second."""
    folder.mkdir(exist_ok=True)
    rows = [f"{25 * s + i}\t{PHASES[p]}" for s, p in enumerate(phases) for i in range(25)]
    file, tools = (folder / f"video{number:02d}-{kind}.txt" for kind in ("phase", "tool"))
    file.write_text("\n".join(["Frame\tPhase", *rows]) + "\n")
    seen = [f"{25 * s}\t{int(has_tool(s))}\t0" for s in range(len(phases))]
    tools.write_text("\n".join(["Frame\tGrasper\tHook", *seen]) + "\n")
    return [file, tools]


def has_tool(second: int) -> bool:
    """Whether the grasper is in view."""
    return second // STRETCH_S % 2 == 0


def _picture(phase: int, second: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(second)
    rgb = np.full((SIZE_PX[1], SIZE_PX[0], 3), COLOURS[phase], np.int64)
    rgb += rng.integers(-15, 16, rgb.shape)
    if has_tool(second):
        rgb[:24, :32] = 250
    return rgb.clip(0, 255).astype(np.uint8)
