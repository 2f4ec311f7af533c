"""Training: one loop for every network, its settings, and the precision a machine is good at."""

from models.training.config import TrainConfig, native_bf16
from models.training.loop import LAST, Trainer
from models.training.reports import Hooks, Loss, Progress, TrainResult

__all__ = [
    "LAST",
    "Hooks",
    "Loss",
    "Progress",
    "TrainConfig",
    "TrainResult",
    "Trainer",
    "native_bf16",
]
