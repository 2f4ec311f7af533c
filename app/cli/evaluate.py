"""``trocar evaluate``: what a model is worth on labelled data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.common import JsonOption, LibraryOption, emit, library_folder, progress
from app.cli.phase_scores import HELD_OUT_SEED, phase_scores
from app.core.errors import BadInput
from app.core.picture import LabelledPicture, Pictures

if TYPE_CHECKING:
    from app.learning.worst import Worst
    from models import ModelCard

PHANTOM, ALL = "phantom", "all"
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
            help="A folder of labelled pictures in one of the public layouts, a CholecT50 folder "
            "(labels/VIDnn.json), `phantom`: held-out phantom videos, or, of models that know the "
            "time, `library`: its cases with phases by a human.",
        ),
    ],
    split: Annotated[
        str | None,
        typer.Option(
            help="train, validation, test or all. Default: test where there is one, else "
            "validation, else all."
        ),
    ] = None,
    corruption: Annotated[
        list[str] | None,
        typer.Option(
            "--corruption",
            help="Measure on pictures made worse as well: a name (a wrong one lists them), or "
            "`all`; repeat for more.",
        ),
    ] = None,
    severity: Annotated[
        int | None, typer.Option(min=1, max=5, help="Of the corruption. Default: all five.")
    ] = None,
    group: Annotated[
        list[str] | None,
        typer.Option("--group", help="Only this operation of a folder; repeat for more."),
    ] = None,
    videos: Annotated[
        int, typer.Option(min=1, help="Held-out phantom videos, or operations for phases.")
    ] = 6,
    worst: Annotated[
        Path | None,
        typer.Option(
            help="Write the pictures that the outlines are worst in to this folder, what is "
            "labelled beside what the model says."
        ),
    ] = None,
    keep: Annotated[int, typer.Option(min=1, max=200, help="How many of the worst.")] = 10,
    protocol: Annotated[
        str,
        typer.Option(
            help="With --data library: an official split, as LAYOUT:SPLIT, such as cholec80:40/40; "
            "--split says which part, default test."
        ),
    ] = "",
    features: Annotated[
        Path | None,
        typer.Option(
            help="Folder in which what is looked at is kept for other models: drawn operations, "
            "frames of recordings (default: the library's cache)."
        ),
    ] = None,
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure a model in full precision: masks by COCO's metrics, phases by accuracy and edit,
    activities and areas by what was called what."""
    from app.core.prediction import ACTIVITIES, PHASES, SEGMENTATION
    from app.inference.cards import find_model
    from app.learning.worst import Worst

    card = find_model(model, library_folder(library))
    folder = Path(data)
    outlines = card.task in (SEGMENTATION, ACTIVITIES)
    if corruption and (not outlines or list(folder.glob("labels/VID*.json"))):
        raise BadInput("Only outlines are measured on pictures made worse; leave --corruption out.")
    if worst is not None and card.task != SEGMENTATION:
        raise BadInput("The worst pictures are those of outlines; leave --worst out.")
    looks = Worst(keep) if worst is not None else None
    if card.features_of or card.task == PHASES:
        result = phase_scores(
            card, data, videos, features, library, protocol=protocol, split=split, quiet=as_json
        )
    elif protocol or features is not None:
        raise BadInput("--protocol and --features are for models that know the time.")
    elif card.task == ACTIVITIES and not (card.activities and card.classes):
        raise BadInput(f"{card.name} looks at recordings; its answers are not measured yet.")
    elif card.task == ACTIVITIES:
        worse = _worse(corruption, severity)
        result = _scenes(card, data, split, group or (), videos, worse, quiet=as_json)
    elif data == PHANTOM:
        worse = _worse(corruption, severity)
        result = _masks(card, list(_phantom_frames(videos)), worse, looks, quiet=as_json)
    elif not folder.is_dir():
        raise BadInput(f"There is no folder {folder}; name a data set's folder, or `phantom`.")
    elif list(folder.glob("labels/VID*.json")):
        result = _boxes(card, folder, looks)
    else:
        worse = _worse(corruption, severity)
        pictures, which = _pictures(folder, split, group or ())
        result = {"split": which, **_masks(card, pictures, worse, looks, quiet=as_json)}
    if looks is not None and worst is not None:
        result["worst"] = looks.write(worst)
    emit(result, as_json=as_json, text="\n".join(_lines(result)))


def _lines(values: Mapping[str, Any], before: str = "") -> Iterator[str]:
    """One figure a line; those of tables inside with the table's name before."""
    for name, value in values.items():
        if isinstance(value, list):
            if not all(isinstance(row, dict) for row in value):
                yield f"{before}{name}: " + ", ".join(map(str, value))
                continue
            for row in value:
                yield f"{before}{name} " + ", ".join(str(v) for v in row.values())
        elif isinstance(value, dict):
            if name != "per_class":
                yield from _lines(value, f"{before}{name} ")
        else:
            yield f"{before}{name}: {value}"


def _worse(names: Sequence[str] | None, severity: int | None) -> list[tuple[str, int]]:
    """The corruptions to measure, with their severities."""
    from app.learning.corruptions import CORRUPTIONS, SEVERITIES

    wanted = list(CORRUPTIONS) if names and "all" in names else list(names or ())
    for name in wanted:
        if name not in CORRUPTIONS:
            raise BadInput(f"There is no corruption {name}; there are {', '.join(CORRUPTIONS)}.")
    return [(n, s) for n in wanted for s in ((severity,) if severity else SEVERITIES)]


def _pictures(folder: Path, split: str | None, groups: Sequence[str]) -> tuple[Pictures, str]:
    """The pictures to measure on, and the name of their split."""
    from app.exchange.dataset import TEST, TRAIN, VALIDATION, open_dataset

    dataset = open_dataset(folder)
    known = (TRAIN, VALIDATION, TEST, ALL)
    if split is not None and split not in known:
        raise BadInput(f"There is no split {split}; give {', '.join(known)}.")
    which = split or next((s for s in (TEST, VALIDATION) if dataset.splits.get(s)), ALL)
    chosen = dataset.pictures if which == ALL else dataset.split(which)
    kept = [e for e in chosen.entries if not groups or e.group in groups]
    if not kept:
        raise BadInput("No labelled picture was found; check --data, --split and --group.")
    return Pictures(kept), which


def _masks(
    card: ModelCard,
    pictures: Sequence[LabelledPicture],
    worse: Sequence[tuple[str, int]],
    looks: Worst | None,
    *,
    quiet: bool,
) -> dict[str, Any]:
    from app.learning.corruptions import corrupt
    from app.learning.measure import measure

    passes = 1 + len(worse)
    with progress(f"Measuring {card.name}", quiet=quiet) as bar:
        bar.update(bar.task_ids[0], total=passes * len(pictures))

        def follow(number: int) -> Callable[[int], None]:
            begun = number * len(pictures)
            return lambda done: bar.update(bar.task_ids[0], completed=begun + done)

        result = measure(card, pictures, worst=looks, on_progress=follow(0)).as_json()
        curves: dict[str, dict[str, Any]] = {}
        for number, (name, severity) in enumerate(worse, 1):
            got = measure(
                card,
                pictures,
                change=partial(corrupt, name, severity),
                on_progress=follow(number),
            ).as_json()
            row = {k: got[k] for k in ("map50", "map50_95", "dice", "iou")}
            row["foreground_mdice"] = got["foreground"]["mdice"]
            curves.setdefault(name, {})[str(severity)] = row
    if curves:
        result["corruptions"] = curves
    return result


def _scenes(
    card: ModelCard,
    data: str,
    split: str | None,
    groups: Sequence[str],
    operations: int,
    worse: Sequence[tuple[str, int]],
    *,
    quiet: bool,
) -> dict[str, Any]:
    from app.inference.cards import load_network
    from app.learning.corruptions import corrupt
    from app.learning.measure_scenes import SceneTask, measured, phantom_scenes

    task, network = SceneTask.of_card(card), load_network(card)
    if data == PHANTOM:
        which, scenes = "held-out phantom", list(phantom_scenes(task, operations))
    else:
        if not Path(data).is_dir():
            raise BadInput(f"There is no folder {data}; name a data set's folder, or `phantom`.")
        pictures, which = _pictures(Path(data), split, groups)
        scenes = [task.scene(picture) for picture in pictures]
    with progress(f"Measuring {card.name}", quiet=quiet) as bar:
        bar.update(bar.task_ids[0], total=1 + len(worse))
        result = {"split": which, **measured(network, task, scenes).as_json()}
        for done, (name, severity) in enumerate(worse, 1):
            bar.update(bar.task_ids[0], completed=done)
            change = partial(corrupt, name, severity)
            got = measured(network, task, scenes, change).as_json()
            row = {"dice": got["dice"], "iou": got["iou"]}
            row["activity_accuracy"] = got["activities"]["accuracy"]
            curves = result.setdefault("corruptions", {})
            curves.setdefault(name, {})[str(severity)] = row
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


def _boxes(card: ModelCard, folder: Path, looks: Worst | None) -> dict[str, Any]:
    from app.inference import Segmenter
    from app.learning.evaluate import box_coverage

    got = box_coverage(Segmenter(card).predict, _cholect50(folder), worst=looks)
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
