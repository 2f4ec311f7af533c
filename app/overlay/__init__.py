"""Instances drawn into a raster, merged from model and human, and read ahead of the playhead."""

from app.overlay.compose import Look, area_looks, compose, looks_of
from app.overlay.contours import contours, contours_of, mask_from_polygon
from app.overlay.export import blended, picture_with_overlay, with_research_mark
from app.overlay.shown import ShownInstance, is_answered, shown_areas, shown_instances
from app.overlay.style import Dial, OverlayStyle

__all__ = [
    "Dial",
    "Look",
    "OverlayStyle",
    "ShownInstance",
    "area_looks",
    "blended",
    "compose",
    "contours",
    "contours_of",
    "is_answered",
    "looks_of",
    "mask_from_polygon",
    "picture_with_overlay",
    "shown_areas",
    "shown_instances",
    "with_research_mark",
]
