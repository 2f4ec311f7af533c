"""VideoMamba, the frozen teacher of EndoMamba's pre-training."""

from models.videomamba.network import VideoMamba

__all__ = ["VideoMamba", "build"]

build = VideoMamba
