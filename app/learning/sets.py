"""A frozen training set: the frames that humans worked on, as they stood when it was made.

A folder with the pictures as PNG and ``set.json`` (masks, provenance, a hash over everything).
Once written it never changes; a run names it by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from app.core.case import Asset
from app.core.errors import BadInput
from app.core.mask import Mask
from app.core.picture import LabelledPicture
from app.core.prediction import SEGMENTATION, FramePrediction, Instance
from app.overlay import shown_instances
from app.store import Library
from app.video import UndecodableFrame, open_recording

INDEX = "set.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSet:
    """Pictures to learn from and pictures to be measured on.

    Attributes:
        folder: where it is frozen.
        sha256: over pictures, masks and split.
        learn, held_out: disjoint.
    """

    folder: Path
    sha256: str
    learn: tuple[LabelledPicture, ...]
    held_out: tuple[LabelledPicture, ...]


def freeze(
    library: Library, case_ids: Sequence[str], folder: Path, *, held_out_every: int = 4
) -> TrainingSet:
    """Freeze the corrected frames of cases.

    A frame that a human called complete teaches as it is. On any other, what the model said and
    nobody answered is left out of the loss.

    Args:
        library: open for reading or writing.
        case_ids: which cases.
        folder: new or empty.
        held_out_every: each N-th corrected frame of a case is held out; 2 holds out every other.

    Raises:
        BadInput: no frame of these cases was corrected, or a recording is not where it was.
    """
    entries: list[dict[str, Any]] = []
    (folder / "frames").mkdir(parents=True, exist_ok=True)
    for case_id in case_ids:
        case = library.case(case_id)
        number = 0
        for asset in case.assets:
            for picture, entry in _corrected(library, case_id, asset):
                number += 1
                entry["held_out"] = number % held_out_every == 0
                done, png = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
                if not done:
                    raise ValueError("PNG encoding failed")
                (folder / "frames" / f"{entry['name']}.png").write_bytes(png.tobytes())
                entry["sha256"] = hashlib.sha256(png.tobytes()).hexdigest()
                entries.append(entry)
    if not entries:
        raise BadInput(
            f"Nothing was corrected in {', '.join(case_ids)}; correct some outlines first."
        )
    body = json.dumps(entries, sort_keys=True)
    sha256 = hashlib.sha256(body.encode()).hexdigest()
    (folder / INDEX).write_text(json.dumps({"sha256": sha256, "frames": entries}), encoding="utf-8")
    return read(folder)


def read(folder: Path) -> TrainingSet:
    """Read a frozen set again.

    Raises:
        BadInput: it is not one, or was changed since.
    """
    try:
        data = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        entries = data["frames"]
        if (
            hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()
            != data["sha256"]
        ):
            raise ValueError("its hash does not match")
        pictures = [(bool(e["held_out"]), _picture(folder, e)) for e in entries]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise BadInput(
            f"{folder.name} is not a training set that can be used: {error}.", str(error)
        ) from error
    return TrainingSet(
        folder=folder,
        sha256=data["sha256"],
        learn=tuple(p for held, p in pictures if not held),
        held_out=tuple(p for held, p in pictures if held),
    )


def _corrected(library: Library, case_id: str, asset: Asset) -> Any:
    """Yield (rgb, entry) of each frame that a human worked on, in order."""
    annotations = library.annotations(asset.asset_id)
    reviewed = {f.pts for f in library.reviewed_frames(asset.asset_id)}
    frames = sorted({a.frame.pts for a in annotations} | reviewed)
    if not frames:
        return
    store = library.predictions(case_id)
    runs = [r for r in store.runs(asset.asset_id) if r.task == SEGMENTATION]
    with open_recording(asset) as source:
        for pts in frames:
            try:
                frame = source.frame(source.index_of(pts))
            except UndecodableFrame:
                continue
            said: dict[int, FramePrediction] = {}
            for run in runs[-1:]:
                found = store.frame(run.run_id, pts)
                if found is not None:
                    said[run.run_id] = found
            shown = shown_instances(
                said, [a for a in annotations if a.frame.pts == pts], reviewed=pts in reviewed
            )
            unanswered = [s.mask for s in shown if s.annotation is None]
            yield (
                frame.rgb,
                {
                    "name": f"{case_id}_{asset.asset_id}_{frame.index:07d}",
                    "case": case_id,
                    "asset": asset.asset_id,
                    "pts": pts,
                    "index": frame.index,
                    "complete": pts in reviewed,
                    "instances": [
                        {"label": s.label, "mask": _text(s.mask)}
                        for s in shown
                        if s.annotation is not None
                    ],
                    "ignore": [_text(m) for m in unanswered],
                },
            )


def _text(mask: Mask) -> str:
    return base64.b64encode(mask.to_bytes()).decode("ascii")


def _mask(text: str) -> Mask:
    return Mask.from_bytes(base64.b64decode(text, validate=True))


def _picture(folder: Path, entry: dict[str, Any]) -> LabelledPicture:
    data = (folder / "frames" / f"{entry['name']}.png").read_bytes()
    if hashlib.sha256(data).hexdigest() != entry["sha256"]:
        raise ValueError(f"the picture {entry['name']} was changed")
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    rgb = np.ascontiguousarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False))
    ignored = np.zeros(rgb.shape[:2], bool)
    for text in entry["ignore"]:
        ignored |= _mask(text).full()
    return LabelledPicture(
        name=entry["name"],
        group=entry["case"],
        rgb=rgb,
        instances=tuple(
            Instance(label=i["label"], mask=_mask(i["mask"])) for i in entry["instances"]
        ),
        ignore=Mask.from_full(ignored) if ignored.any() else None,
    )
