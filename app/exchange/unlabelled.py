"""Pictures of a folder without labels: extracted frames, stills of an archive. Read when asked."""

from __future__ import annotations

import os
import re
from functools import partial
from pathlib import Path

from app.core.errors import EnvironmentProblem
from app.core.picture import LabelledPicture, PictureEntry, Pictures
from app.exchange.images import read_rgb
from app.exchange.mask_image import PICTURES

_NUMBER = re.compile(r"[-_ .]*(?:frame)?[-_ .]*\d+$", re.IGNORECASE)


def pictures_below(folder: Path) -> Pictures:
    """The pictures of a folder and of those in it, by path; hidden ones are left out.

    An operation is what lies in one folder under one name but for the number at its end.

    Raises:
        EnvironmentProblem: the folder cannot be read.
    """
    found: list[PictureEntry] = []

    def fail(error: OSError) -> None:
        raise EnvironmentProblem(
            f"The folder {folder.name} cannot be read ({error.strerror}); check its drive."
        ) from error

    for place, folders, names in os.walk(folder, onerror=fail):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for path in sorted(Path(place, n) for n in names):
            if path.suffix.lower() in PICTURES and not path.name.startswith("."):
                name = path.relative_to(folder).as_posix()
                group = _NUMBER.sub("", path.relative_to(folder).with_suffix("").as_posix())
                found.append(PictureEntry(name=name, group=group, load=partial(load, path)))
    return Pictures(found)


def load(path: Path) -> LabelledPicture:
    """One picture without anything known about it.

    Raises:
        BadInput: it cannot be read.
    """
    return LabelledPicture(name=path.name, group=path.parent.name, rgb=read_rgb(path))
