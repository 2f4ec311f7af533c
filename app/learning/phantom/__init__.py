"""The phantom: semi-synthetic laparoscopy with exact masks, tracks and phases, drawn by seed.

`PhantomStills` for learning masks, `ProcedureStream` (one frame a second) for learning phases,
`PhantomVideo` for whole videos with tracks.
"""

from app.learning.phantom.script import PHASES, Procedure, write_procedure
from app.learning.phantom.stills import TOOLS, PhantomInstance, PhantomSample, PhantomStills
from app.learning.phantom.video import PhantomFrame, PhantomVideo, ProcedureStream

__all__ = [
    "PHASES",
    "TOOLS",
    "PhantomFrame",
    "PhantomInstance",
    "PhantomSample",
    "PhantomStills",
    "PhantomVideo",
    "Procedure",
    "ProcedureStream",
    "write_procedure",
]
