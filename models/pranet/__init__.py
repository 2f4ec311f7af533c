"""PraNet: one mask of what lies on the mucosa, made for polyps."""

from models.pranet.network import IMAGE_MEAN_RGB, IMAGE_STD_RGB, SIDE_PX, PraNet

__all__ = ["IMAGE_MEAN_RGB", "IMAGE_STD_RGB", "SIDE_PX", "PraNet", "build"]


def build(**options: object) -> PraNet:
    """Builds the network; the options are `PraNet`'s."""
    return PraNet(**options)  # type: ignore[arg-type]
