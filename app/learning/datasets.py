"""Labelled pictures of a data set before anything is learnt from them: read, counted, split.

A split goes by operation or patient, never by picture; what two splits share is said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import overload

import cv2
import numpy as np
from numpy.typing import NDArray

from app.core.errors import BadInput
from app.core.picture import LabelledPicture, PictureEntry, Pictures

_HASH_PX = 16
# Of 256 bits: a polyp seen again a second later differs in 35 or 47, of 80,000 pairs of different
# polyps the nearest two in 48 (Kvasir-SEG).
NEAR_BITS = 40
_NAMED = 3


def entries_of(pictures: Sequence[LabelledPicture]) -> Sequence[PictureEntry | LabelledPicture]:
    """Names and groups, without reading pictures that have not been read."""
    if isinstance(pictures, Renamed):
        return entries_of(pictures.pictures)
    return pictures.entries if isinstance(pictures, Pictures) else pictures


class Renamed(Sequence[LabelledPicture]):
    """Pictures whose labels have other names.

    Args:
        pictures: the pictures.
        names: label -> label; others stay as they are.
    """

    def __init__(self, pictures: Sequence[LabelledPicture], names: Mapping[str, str]) -> None:
        self.pictures, self.names = pictures, dict(names)

    def __len__(self) -> int:
        return len(self.pictures)

    @overload
    def __getitem__(self, index: int) -> LabelledPicture: ...
    @overload
    def __getitem__(self, index: slice) -> Renamed: ...
    def __getitem__(self, index: int | slice) -> LabelledPicture | Renamed:
        if isinstance(index, slice):
            return Renamed(self.pictures[index], self.names)
        picture = self.pictures[index]
        instances = tuple(
            replace(i, label=self.names.get(i.label, i.label)) for i in picture.instances
        )
        return replace(picture, instances=instances)


def split_by_group(pictures: Pictures, share: float, seed: int = 0) -> tuple[Pictures, Pictures]:
    """Pictures to learn from, and pictures of other operations to be measured on.

    Args:
        pictures: all of them.
        share: of the pictures to hold out, at least; groups are held out whole until it is met.
        seed: decides which.

    Raises:
        BadInput: there is one operation alone, which cannot be on both sides.
    """
    sizes = Counter(entry.group for entry in pictures.entries)
    if len(sizes) < 2:
        raise BadInput(
            "All pictures are of one operation, so none can be held out; add another operation."
        )
    order = np.random.default_rng(seed).permutation(sorted(sizes))
    held: set[str] = set()
    for group in order[:-1]:
        if sum(sizes[g] for g in held) >= share * len(pictures):
            break
        held.add(str(group))
    learn = [e for e in pictures.entries if e.group not in held]
    return Pictures(learn), Pictures([e for e in pictures.entries if e.group in held])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Survey:
    """What all pictures of a set hold.

    Attributes:
        names, groups: of each picture.
        labels: instances by label, most frequent first.
        empty: pictures without an instance.
        hashes: uint8 (N, 32), of what each picture looks like.
    """

    names: tuple[str, ...]
    groups: tuple[str, ...]
    labels: dict[str, int]
    empty: int
    hashes: NDArray[np.uint8]


def survey(
    pictures: Sequence[LabelledPicture], on_progress: Callable[[int], None] = lambda _: None
) -> Survey:
    """Read every picture once, so that what is wrong is known before hours of training.

    Raises:
        BadInput: one cannot be read, or there is none.
    """
    labels: Counter[str] = Counter()
    names, groups, hashes, empty = [], [], [], 0
    for number, picture in enumerate(pictures, 1):
        labels.update(i.label for i in picture.instances)
        empty += not picture.instances
        names.append(picture.name)
        groups.append(picture.group)
        hashes.append(look_hash(picture.rgb))
        on_progress(number)
    if not names:
        raise BadInput("There is no labelled picture to learn from; check the folder.")
    return Survey(
        names=tuple(names),
        groups=tuple(groups),
        labels=dict(labels.most_common()),
        empty=empty,
        hashes=np.stack(hashes),
    )


def warnings_of(found: Survey, classes: Sequence[str], known: Callable[[str], bool]) -> list[str]:
    """What a person should know before a network learns this, a sentence each.

    Args:
        found: the pictures to learn from.
        classes: what the network tells apart.
        known: whether a label counts as one of them.

    Raises:
        BadInput: no instance is of any class.
    """
    strange = {label: n for label, n in found.labels.items() if not known(label)}
    if not set(found.labels) - set(strange):
        listed = f" ({_counts(strange)})" if strange else ""
        raise BadInput(
            f"No outline in these pictures is of a class that the network learns, "
            f"{', '.join(classes)}{listed}; name the labels' classes in the recipe."
        )
    said = []
    if strange:
        said.append(
            f"Labels that are no class of the network are left out of its lesson: "
            f"{_counts(strange)}."
        )
    if missing := [c for c in classes if len(classes) > 1 and c not in found.labels]:
        said.append(f"No picture shows {', '.join(missing)}, so the network cannot learn it.")
    if len(found.names) == 1:
        said.append("There is a single picture: the network will know it by heart and no other.")
    return said


def leaks(learnt: Survey, measured: Survey) -> list[str]:
    """What two splits share, a sentence each; figures measured in spite of it are too good."""
    said = []
    if shared := sorted(set(learnt.groups) & set(measured.groups)):
        count = sum(group in shared for group in measured.groups)
        said.append(
            f"{count} of {len(measured.names)} pictures to measure on are of operations that are "
            f"learnt from as well ({_few(shared)}); split by operation."
        )
    pairs = near_pairs(learnt.hashes, measured.hashes)
    if pairs:
        named = [f"{measured.names[b]} and {learnt.names[a]}" for a, b in pairs]
        said.append(
            f"Of {len(measured.names)} pictures to measure on, {len({b for _, b in pairs})} nearly "
            f"repeat one that is learnt from ({_few(named)}); leave them out of one side."
        )
    return said


def look_hash(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """256 bits of what a picture looks like: where it grows lighter from left to right.

    Args:
        rgb: uint8 (H, W, 3).

    Returns:
        uint8 (32,); sizes, compression and brightness change few bits.
    """
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (_HASH_PX + 1, _HASH_PX), interpolation=cv2.INTER_AREA).astype(int)
    return np.packbits(small[:, 1:] > small[:, :-1])


def near_pairs(
    a: NDArray[np.uint8], b: NDArray[np.uint8], most_bits: int = NEAR_BITS
) -> list[tuple[int, int]]:
    """Places in a and b whose hashes differ in at most so many bits, nearest first."""
    found = []
    for place, one in enumerate(b):
        bits = np.unpackbits(a ^ one, axis=1).sum(1)
        found += [(int(bits[i]), int(i), place) for i in np.flatnonzero(bits <= most_bits)]
    return [(i, j) for _, i, j in sorted(found)]


def _counts(labels: Mapping[str, int]) -> str:
    return ", ".join(f"{label} ({count})" for label, count in labels.items())


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
