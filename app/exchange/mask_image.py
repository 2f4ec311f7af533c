"""Mask pictures: values or colours into regions of named classes; whatever is not known is named.

The shared part of every reader whose labels are pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from app.core.errors import BadInput
from app.core.mask import Mask
from app.core.prediction import Instance
from app.exchange.images import read_plane
from app.exchange.jsonfile import read_json

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
NOISY = (".jpg", ".jpeg")
TABLE = "labels.json"
_SHOWN = 5
_FAR = 64  # JPEG moves a colour by less, save at the borders of regions
_FAR_SHARE = 0.02

Colour = tuple[int, int, int]
Planes = dict[str, NDArray[np.bool_]]


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskTable:
    """What values and colours mean; None is background.

    Attributes:
        values: of grey masks.
        colours: of RGB masks.
    """

    values: Mapping[int, str | None]
    colours: Mapping[Colour, str | None]


def key_of(name: str) -> str:
    """A label as this program writes it: small letters, underscores."""
    return "_".join(name.strip().lower().replace("-", " ").replace("/", " ").split())


def read_table(path: Path) -> MaskTable:
    """A table as EndoVis 2018 has it: a list of name, color (three numbers) and classid.

    A class whose name begins with "background" is none, and so is black where no class has it.

    Raises:
        BadInput: it is something else.
    """
    values: dict[int, str | None] = {0: None}
    colours: dict[Colour, str | None] = {(0, 0, 0): None}
    try:
        for row in read_json(path):
            label = key_of(str(row["name"]))
            if not label:
                raise ValueError("a class without a name")
            known = None if label.startswith("background") else label
            if "classid" in row:
                values[int(row["classid"])] = known
            if "color" in row:
                r, g, b = (int(v) for v in row["color"])
                colours[r, g, b] = known
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(
            f"{path.name} is no table of classes (a list of name, color and classid).", str(error)
        ) from error
    return MaskTable(values=values, colours=colours)


def pictures_in(folder: Path) -> dict[str, Path]:
    """The pictures of a folder by their names without suffix, in order."""
    if not folder.is_dir():
        return {}
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in PICTURES)
    return {p.stem: p for p in files if not p.name.startswith(".")}


def read_regions(path: Path, table: MaskTable | None, label: str = "") -> Planes:
    """The regions of a mask picture by label, bool (H, W) each; classes without a pixel left out.

    Args:
        path: the mask. A JPEG has noise round every border: there the nearest value counts.
        table: what its values or colours mean; None where it is black and white.
        label: of what is white, without a table.

    Raises:
        BadInput: it cannot be read, or holds values or colours that the table does not name; the
            sentence lists them with their numbers of pixels.
    """
    plane = read_plane(path)
    noisy = path.suffix.lower() in NOISY
    if (
        plane.ndim == 3
        and (plane == plane[..., :1]).all()
        and not (table and set(table.values) <= {0})
    ):
        plane = np.ascontiguousarray(plane[..., 0])
    if table is None:
        return _black_and_white(path, plane, label, noisy=noisy)
    if plane.ndim == 2:
        return _by_key(path, plane.astype(np.int64), table.values, _grey_name, noisy=noisy)
    codes = plane.astype(np.int64) @ np.array([65536, 256, 1])
    coded = {(r << 16) + (g << 8) + b: name for (r, g, b), name in table.colours.items()}
    if noisy:
        codes = _nearest_colours(path, plane, coded)
    return _by_key(path, codes, coded, _colour_name, noisy=False)


def parts_of(regions: Planes) -> tuple[Instance, ...]:
    """Instances: the connected parts of each region, corners count as touching."""
    found = []
    for label, plane in regions.items():
        count, parts, stats, _ = cv2.connectedComponentsWithStats(
            plane.view(np.uint8), connectivity=8
        )
        height, width = plane.shape
        for number in range(1, count):
            x, y, w, h = (int(v) for v in stats[number, :4])
            bits = parts[y : y + h, x : x + w] == number
            mask = Mask(width_px=width, height_px=height, x_px=x, y_px=y, bits=bits)
            found.append(Instance(label=label, mask=mask))
    return tuple(found)


def check_size(path: Path, regions: Planes, rgb: NDArray[np.uint8]) -> None:
    """Raises ``BadInput`` where a mask is of another size than its picture."""
    for plane in regions.values():
        if plane.shape != rgb.shape[:2]:
            raise BadInput(
                f"The mask {path.name} is {plane.shape[1]} x {plane.shape[0]} px, its picture "
                f"{rgb.shape[1]} x {rgb.shape[0]}; give both the same size."
            )


def _black_and_white(path: Path, plane: NDArray[np.uint8], label: str, *, noisy: bool) -> Planes:
    if plane.ndim == 3:
        if not noisy:
            raise BadInput(
                f"The mask {path.name} is coloured and no {TABLE} beside the folders names its "
                "colours; write one (a list of name, color and classid)."
            )
        plane = plane.max(2)
    if not noisy:
        values, counts = np.unique(plane, return_counts=True)
        between = (values > 1) & (values < 255)
        if between.any():
            listed = _listed(values[between], counts[between], _grey_name)
            raise BadInput(
                f"The mask {path.name} holds {listed} besides black and white, and no {TABLE} "
                "beside the folders names them; write one (a list of name and classid)."
            )
        on = plane > 0
    else:
        on = plane > 127
    return {label: on}


def _by_key(
    path: Path,
    codes: NDArray[np.int64],
    table: Mapping[int, str | None],
    name_of: Callable[[int], str],
    *,
    noisy: bool,
) -> Planes:
    values, places, counts = np.unique(codes, return_inverse=True, return_counts=True)
    if noisy:
        known = np.array(sorted(table) or [0])
        values = known[np.abs(values[:, None] - known).argmin(1)]
    unknown = np.array([int(v) not in table for v in values])
    if unknown.any():
        listed = _listed(values[unknown], counts[unknown], name_of)
        raise BadInput(f"The mask {path.name} holds {listed}, which no class of its table has.")
    regions: Planes = {}
    places = places.reshape(codes.shape)
    for label in dict.fromkeys(table.values()):
        mine = np.array([table[int(v)] == label for v in values])
        if label is not None and mine.any():
            regions[label] = mine[places]
    if not regions:  # what is empty still says how large it is
        return {"": np.zeros(codes.shape, bool)}
    return regions


def _nearest_colours(
    path: Path, plane: NDArray[np.uint8], coded: Mapping[int, str | None]
) -> NDArray[np.int64]:
    """Each pixel's nearest colour of the table; colours that are far from all are refused."""
    known = np.array(list(coded))
    colours = np.stack((known >> 16, known >> 8 & 255, known & 255), 1)
    away = np.stack([np.abs(plane.astype(np.int16) - c).max(2) for c in colours])
    best = away.argmin(0)
    far = away.min(0) > _FAR
    if far.mean() > _FAR_SHARE:
        # Sixteen steps of each channel: noise makes thousands of shades of one colour.
        coarse = (plane[far] // 16 * 16).astype(np.int64) @ np.array([65536, 256, 1])
        listed = _listed(*np.unique(coarse, return_counts=True), _colour_name)
        raise BadInput(f"The mask {path.name} holds {listed} or near, which its table has not.")
    chosen: NDArray[np.int64] = known[best]
    return chosen


def _listed(
    values: NDArray[np.integer], counts: NDArray[np.integer], name_of: Callable[[int], str]
) -> str:
    """The most frequent values with their numbers of pixels."""
    order = np.argsort(-counts, kind="stable")
    words = [f"{name_of(int(values[i]))} ({int(counts[i])} px)" for i in order[:_SHOWN]]
    more = f" and {len(order) - _SHOWN} more" if len(order) > _SHOWN else ""
    return ", ".join(words) + more


def _grey_name(value: int) -> str:
    return f"the value {value}"


def _colour_name(code: int) -> str:
    return f"the colour ({code >> 16}, {code >> 8 & 255}, {code & 255})"
