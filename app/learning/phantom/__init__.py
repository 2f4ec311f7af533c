"""The phantom: semi-synthetic laparoscopy with exact masks, tracks and phases, drawn by seed."""

from app.learning.phantom.stills import TOOLS, PhantomSample, PhantomStills

__all__ = ["TOOLS", "PhantomSample", "PhantomStills"]
