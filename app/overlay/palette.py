"""The dark theme's colours for pictures made without a window."""

from __future__ import annotations

import tomllib
from functools import cache

from app.core.resources import resources_dir
from app.core.taxonomy import Taxonomy
from app.overlay.style import Dial, OverlayStyle

RGB = tuple[int, int, int]


@cache
def _theme() -> dict[str, dict[str, str]]:
    text = (resources_dir() / "themes" / "dark.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def rgb(colour: str) -> RGB:
    """(r, g, b) of #RRGGBB or #AARRGGBB."""
    digits = colour.lstrip("#")[-6:]
    return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)


def tokens() -> dict[str, str]:
    """The theme's tokens by name."""
    return _theme()["tokens"]


def report_style(taxonomy: Taxonomy, height_px: int) -> OverlayStyle:
    """Outlines with names, sized for a picture of that height."""
    return OverlayStyle(
        dial=Dial.LABELS,
        outlines=tuple(rgb(c) for c in _theme()["outlines"].values()),
        halo=rgb(tokens()["stage"]),
        text=rgb(tokens()["text"]),
        plate=rgb(tokens()["window"]),
        fill=0.1,
        outline_px=max(2.0, height_px / 270),
        text_px=max(12, height_px // 34),
        names=tuple((i.key, i.name) for i in taxonomy.instruments),
    )
