"""A folder of a public dataset, whatever its layout: its pictures by split, read when asked for.

One file per layout knows the names and the values; this one tells which it is. A folder that has
``train``, ``validation`` or ``test`` folders of one layout inside is read by split.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

from app.core.errors import BadInput
from app.core.picture import PictureEntry, Pictures
from app.exchange import (
    cholecseg8k,
    coco_folder,
    endoarss,
    endovis2017,
    endovis2018,
    labelme,
    mask_folder,
    yolo_seg,
)

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = {
    "train": TRAIN, "training": TRAIN, "val": VALIDATION, "valid": VALIDATION,
    "validation": VALIDATION, "test": TEST, "testing": TEST,
}  # fmt: skip
"""Names of folders -> the split they hold."""

# The more particular layout first.
LAYOUTS: tuple[ModuleType, ...] = (
    endovis2017,
    endovis2018,
    cholecseg8k,
    coco_folder,
    yolo_seg,
    endoarss,
    mask_folder,
    labelme,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """What a folder holds.

    Attributes:
        title: the layout in words.
        pictures: in order of split and name.
    """

    title: str
    pictures: Pictures

    def split(self, *names: str) -> Pictures:
        """The pictures of some splits; "" is what the dataset puts in none."""
        return Pictures([e for e in self.pictures.entries if e.split in names])

    @property
    def splits(self) -> dict[str, int]:
        """How many pictures each split has."""
        return dict(Counter(e.split for e in self.pictures.entries))


def open_dataset(folder: Path) -> Dataset:
    """Find out what a folder holds, without reading its pictures.

    Raises:
        BadInput: there is no such folder, or it has none of the known layouts.
    """
    if not folder.is_dir():
        raise BadInput(f"There is no folder {folder.name}; name the folder of a data set.")
    layout = _layout_of(folder)
    if layout is not None:
        return _dataset(layout, layout.entries(folder), folder)
    found: dict[str, Path] = {}
    for inside in sorted(p for p in folder.iterdir() if p.is_dir()):
        if split := SPLITS.get(inside.name.casefold()):
            found[split] = inside
    kinds = {split: _layout_of(path) for split, path in found.items()}
    known = {kind for kind in kinds.values() if kind is not None}
    if len(known) != 1 or None in kinds.values():
        titles = "; ".join(module.TITLE for module in LAYOUTS)
        raise BadInput(
            f"{folder.name} has none of the layouts that are read here: {titles}; "
            "name the folder that holds one of them."
        )
    (one,) = known
    entries = [_in_split(e, split) for split, path in found.items() for e in one.entries(path)]
    return _dataset(one, entries, folder)


def _in_split(entry: PictureEntry, split: str) -> PictureEntry:
    """The entry with a name of its own; one that tells no operation has another in each split."""
    name = f"{split}/{entry.name}"
    group = name if entry.group == entry.name else entry.group
    return replace(entry, split=split, name=name, group=group)


def _layout_of(folder: Path) -> ModuleType | None:
    return next((module for module in LAYOUTS if module.belongs(folder)), None)


def _dataset(layout: ModuleType, entries: Sequence[PictureEntry], folder: Path) -> Dataset:
    if not entries:
        raise BadInput(f"{folder.name} looks like {layout.TITLE}, but holds no labelled picture.")
    ranks = {TRAIN: 0, VALIDATION: 1, TEST: 2}
    ordered = sorted(entries, key=lambda e: (ranks.get(e.split, 3), e.name))
    return Dataset(title=layout.TITLE, pictures=Pictures(ordered))
