"""``trocar evaluate``: what a model is worth on labelled data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from app.cli.common import JsonOption, LibraryOption, emit, library_folder
from app.core.errors import BadInput
from app.core.picture import LabelledPicture

if TYPE_CHECKING:
    from models import ModelCard

PHANTOM = "phantom"
HELD_OUT_SEED = 900_000
BOX_CONVENTION = (
    "covered: share of boxes of which at least 20 % of the area is predicted; area: mean predicted "
    "share of the picture. Boxes hold the working end of acting instruments only."
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("evaluate")(evaluate)


def evaluate(
    model: Annotated[str, typer.Option("--model", help="Name of a model.")],
    data: Annotated[
        str,
        typer.Option(
            "--data",
            help="A LabelMe folder, a CholecT50 folder (labels/VIDnn.json), or `phantom`: "
            "held-out phantom videos.",
        ),
    ],
    group: Annotated[
        list[str] | None,
        typer.Option("--group", help="Only this operation of a LabelMe folder; repeat for more."),
    ] = None,
    videos: Annotated[
        int, typer.Option(min=1, help="Held-out phantom videos, or operations for phases.")
    ] = 6,
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure a model in full precision: masks by COCO's metrics, phases by accuracy and edit."""
    from app.core.prediction import PHASES
    from app.inference.cards import find_model

    card = find_model(model, library_folder(library))
    folder = Path(data)
    if card.task == PHASES:
        if data != PHANTOM:
            raise BadInput("Phase models are measured with `--data phantom` for now.")
        result = _phases(card, videos)
    elif data == PHANTOM:
        result = _masks(card, _phantom_frames(videos))
    elif not folder.is_dir():
        raise BadInput(f"There is no folder {folder}; name a data set's folder, or `phantom`.")
    elif list(folder.glob("labels/VID*.json")):
        result = _boxes(card, folder)
    else:
        from app.exchange import labelme

        pictures = (p for p in labelme.read_folder(folder) if not group or p.group in group)
        result = _masks(card, pictures)
    rows = [f"{k}: {v}" for k, v in result.items() if not isinstance(v, dict)]
    emit(result, as_json=as_json, text="\n".join(rows))


def _masks(card: ModelCard, pictures: Iterator[LabelledPicture]) -> dict[str, Any]:
    from app.inference import Segmenter
    from app.learning.evaluate import false_area, mask_metrics_of, union_iou

    seen = list(pictures)
    if not seen:
        raise BadInput("No labelled picture was found; check --data and --group.")
    result = mask_metrics_of(card, seen).as_json()
    predict = Segmenter(card, may_halve=False).predict
    overlaps = union_iou(predict, seen)
    alarms = false_area(predict, seen)
    result["empty_images"] = len(alarms)
    result["empty_images_over_half_percent"] = sum(share > 0.005 for share in alarms)
    result["union_iou_mean"] = round(100 * float(np.mean(overlaps)), 2)
    result["union_iou_median"] = round(100 * float(np.median(overlaps)), 2)
    return result


def _phantom_frames(videos: int) -> Iterator[LabelledPicture]:
    """Frames two seconds apart from two minutes of each held-out video."""
    from app.core.mask import Mask
    from app.core.prediction import Instance
    from app.learning.phantom import PhantomVideo

    for number in range(videos):
        start_s = 200.0 + 211 * number
        video = PhantomVideo(
            HELD_OUT_SEED + number, fps=0.5, size_px=(854, 480), start_s=start_s, seconds=120
        )
        for frame in video:
            yield LabelledPicture(
                name=f"{number}-{frame.index}",
                group=str(number),
                rgb=frame.rgb,
                instances=tuple(
                    Instance(label=i.key, mask=Mask.from_full(i.mask)) for i in frame.instances
                ),
            )


def _boxes(card: ModelCard, folder: Path) -> dict[str, Any]:
    from app.inference import Segmenter
    from app.learning.evaluate import box_coverage

    got = box_coverage(Segmenter(card, may_halve=False).predict, _cholect50(folder))
    return {
        "boxes": got.boxes,
        "covered": round(100 * got.covered, 2),
        "area": round(100 * got.area, 2),
        "per_class": {k: round(100 * v, 1) for k, v in got.per_kind.items()},
        "convention": BOX_CONVENTION,
    }


def _cholect50(folder: Path) -> Iterator[LabelledPicture]:
    from app.exchange import cholect50
    from app.video import open_video

    for file in sorted(folder.glob("labels/VID*.json")):
        video = next(iter(sorted(folder.glob(f"{file.stem}*.mp4"))), None)
        if video is None:
            raise BadInput(f"The video of {file.name} is missing; put {file.stem}.mp4 beside it.")
        labels = {f.second: f for f in cholect50.read_labels(file)}
        with open_video(video) as source:
            base = source.info.time_base
            for frame in source.frames():
                label = labels.get(round(frame.pts * base))
                if label is None or not label.boxes:
                    continue
                height, width = frame.rgb.shape[:2]
                yield LabelledPicture(
                    name=f"{file.stem}-{label.second}",
                    group=file.stem,
                    rgb=frame.rgb,
                    boxes=tuple(
                        (kind, (x * width, y * height, (x + w) * width, (y + h) * height))
                        for kind, (x, y, w, h) in label.boxes
                    ),
                )


def _phases(card: ModelCard, operations: int) -> dict[str, Any]:
    from app.learning.evaluate_phases import phase_metrics_of

    return phase_metrics_of(card, [HELD_OUT_SEED + n for n in range(operations)])
