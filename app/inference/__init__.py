"""Networks on frames. Torch is imported when something that computes is first asked for."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from app.inference.analysis import AnalysisJob, AnalysisResult, Progress
    from app.inference.cards import find_model, model_cards
    from app.inference.device import DeviceChoice, choose_device
    from app.inference.live import LiveAnalysis, LiveAnswer
    from app.inference.live_pace import Pace
    from app.inference.live_runs import LiveRuns
    from app.inference.phases import PhaseStream
    from app.inference.segmenter import Segmenter
    from app.inference.tracking import Tracker

_HOME = {
    "AnalysisJob": "analysis",
    "AnalysisResult": "analysis",
    "DeviceChoice": "device",
    "LiveAnalysis": "live",
    "LiveAnswer": "live",
    "LiveRuns": "live_runs",
    "Pace": "live_pace",
    "PhaseStream": "phases",
    "Progress": "analysis",
    "Segmenter": "segmenter",
    "Tracker": "tracking",
    "choose_device": "device",
    "find_model": "cards",
    "model_cards": "cards",
}

__all__ = [
    "AnalysisJob",
    "AnalysisResult",
    "DeviceChoice",
    "LiveAnalysis",
    "LiveAnswer",
    "LiveRuns",
    "Pace",
    "PhaseStream",
    "Progress",
    "Segmenter",
    "Tracker",
    "choose_device",
    "find_model",
    "model_cards",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
