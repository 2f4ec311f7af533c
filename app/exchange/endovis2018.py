"""EndoVis 2018, robotic scene segmentation: ``seq_k/left_frames`` with coloured ``labels``.

Source: specification of annotation formats, section 7. Parts of instruments are classes; instances
are connected parts; one sequence is one operation.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from app.core.picture import LabelledPicture, PictureEntry
from app.exchange.images import read_rgb
from app.exchange.mask_image import (
    TABLE,
    MaskTable,
    check_size,
    parts_of,
    pictures_in,
    read_regions,
    read_table,
)

TITLE = "EndoVis 2018 (seq_k/left_frames and seq_k/labels)"

CLASSES: tuple[tuple[str, tuple[int, int, int]], ...] = (
    ("background_tissue", (0, 0, 0)),
    ("instrument_shaft", (0, 255, 0)),
    ("instrument_clasper", (0, 255, 255)),
    ("instrument_wrist", (125, 255, 12)),
    ("kidney_parenchyma", (255, 55, 0)),
    ("covered_kidney", (24, 55, 125)),
    ("thread", (187, 155, 25)),
    ("clamps", (0, 255, 125)),
    ("suturing_needle", (255, 255, 125)),
    ("suction_instrument", (123, 15, 175)),
    ("small_intestine", (124, 155, 5)),
    ("ultrasound_probe", (12, 255, 141)),
)
PUBLISHED = MaskTable(
    values={n: None if n == 0 else name for n, (name, _) in enumerate(CLASSES)},
    colours={colour: None if colour == (0, 0, 0) else name for name, colour in CLASSES},
)


def belongs(folder: Path) -> bool:
    """Whether sequences with labels are in it."""
    return bool(_sequences(folder))


def entries(folder: Path) -> list[PictureEntry]:
    """The labelled frames; a ``labels.json`` in the folder or a sequence is taken at its word."""
    found = []
    for sequence in _sequences(folder):
        tables = (sequence / TABLE, folder / TABLE)
        table = next((read_table(t) for t in tables if t.is_file()), PUBLISHED)
        frames = pictures_in(sequence / "left_frames")
        for name, mask in pictures_in(sequence / "labels").items():
            if name in frames:
                found.append(
                    PictureEntry(
                        name=f"{sequence.name}/{name}",
                        group=sequence.name,
                        load=partial(load, frames[name], mask, table, sequence.name),
                    )
                )
    return found


def load(image: Path, mask: Path, table: MaskTable, group: str) -> LabelledPicture:
    """One frame with its scene."""
    rgb = read_rgb(image)
    regions = read_regions(mask, table)
    check_size(mask, regions, rgb)
    return LabelledPicture(
        name=f"{group}/{image.stem}", group=group, rgb=rgb, instances=parts_of(regions)
    )


def _sequences(folder: Path) -> list[Path]:
    return sorted(p.parent for p in folder.glob("*/left_frames") if (p.parent / "labels").is_dir())
