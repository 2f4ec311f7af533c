"""The phantom: semi-synthetic laparoscopy with exact masks, tracks and phases, drawn by seed."""

from app.learning.phantom.stills import TOOLS, PhantomInstance, PhantomSample, PhantomStills

__all__ = ["TOOLS", "PhantomInstance", "PhantomSample", "PhantomStills"]
