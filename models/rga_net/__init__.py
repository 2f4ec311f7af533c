"""RGA-Net style desmoking: attention over windows, frequencies, blocks and a grid."""

from models.rga_net.network import RGANet, in_tiles

__all__ = ["RGANet", "build", "in_tiles"]


def build(**options: object) -> RGANet:
    """Builds the network; the options are `RGANet`'s."""
    return RGANet(**options)  # type: ignore[arg-type]
