"""The image tower of SurgVLP's family: a ResNet-50 and a linear map into the shared space.

Yuan et al., "Learning multi-modal representations by watching hundreds of surgical video lectures"
(2023), and its successors HecVL and PeskaVLP share it. Written from the specification
(temporal-models, section 4). A network is used by one thread at a time.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from models.blocks.resnet import FEATURES, ResNet50
from models.errors import ModelError, OptionError

IMAGE_MEAN_RGB = (0.485, 0.456, 0.406)
IMAGE_STD_RGB = (0.229, 0.224, 0.225)
RESIZED_PX = (640, 360)
"""Width and height that a frame is squeezed to before its middle is cut out."""

SIDE_PX = 224
"""Side of the square that is cut out of the middle."""

_LEAST_PX = 32


class SurgVlp(nn.Module):
    """Maps pictures to directions; 25,081,664 parameters at 768 channels.

    Args:
        embedding: channels of the shared space.

    Raises:
        OptionError: where it is out of range.
    """

    def __init__(self, embedding: int = 768) -> None:
        super().__init__()
        if embedding < 1:
            raise OptionError(f"SurgVLP's space needs at least 1 channel, not {embedding}.")
        self.feature_channels = embedding
        self.model = ResNet50()
        self.global_embedder = nn.Linear(FEATURES, embedding)

    def forward(self, images: Tensor) -> Tensor:
        """Looks at pictures.

        Args:
            images: float (B, 3, H, W), RGB in [0, 1] normalised with `IMAGE_MEAN_RGB` and
                `IMAGE_STD_RGB`; official sides are `SIDE_PX`.

        Returns:
            float (B, C), of length 1.

        Raises:
            ModelError: where the pictures do not fit.
        """
        if images.ndim != 4 or images.shape[1] != 3 or min(images.shape[2:]) < _LEAST_PX:
            raise ModelError(
                f"SurgVLP takes RGB pictures of at least {_LEAST_PX} pixels a side as "
                f"(B, 3, H, W), not {tuple(images.shape)}."
            )
        return functional.normalize(self.global_embedder(self.model(images)).float(), dim=1)
