"""PraNet: parallel reverse attention, for polyps.

Written from the specification (section 3) and the paper (Fan et al., 2020); the names and shapes
of the tensors are those of the published weights.
"""

from __future__ import annotations

from copy import deepcopy
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from models.errors import OptionError
from models.pranet.decoder import RFB, BasicConv, PartialDecoder, resized, reversed_attention
from models.pranet.res2net import Res2Net50
from models.types import MapOutput

SIDE_PX = 352
IMAGE_MEAN_RGB = (0.485, 0.456, 0.406)
IMAGE_STD_RGB = (0.229, 0.224, 0.225)


class PraNet(nn.Module):
    """One map of logits on (B, 3, H, W), RGB less ImageNet's mean over its spread.

    30,498,319 parameters; H and W multiples of 32.

    Args:
        num_classes: 1; the network knows one kind of thing.
        classifier: keep the encoder's ImageNet classifier, which is never asked, so that the
            state dict is the published one to the last of its 922 names (32,547,319 parameters).
    """

    def __init__(self, *, num_classes: int = 1, classifier: bool = False) -> None:
        super().__init__()
        if num_classes != 1:
            raise OptionError("pranet: it marks one kind of thing; give it one class.")
        self.resnet = Res2Net50(classifier=classifier)
        self.rfb2_1, self.rfb3_1, self.rfb4_1 = RFB(512), RFB(1024), RFB(2048)
        self.agg1 = PartialDecoder()
        self.ra4_conv1 = BasicConv(2048, 256)
        self.ra4_conv2 = BasicConv(256, 256, 5, 2)
        self.ra4_conv3 = BasicConv(256, 256, 5, 2)
        self.ra4_conv4 = BasicConv(256, 256, 5, 2)
        self.ra4_conv5 = BasicConv(256, 1)
        self.ra3_conv1 = BasicConv(1024, 64)
        self.ra3_conv2 = BasicConv(64, 64, 3, 1)
        self.ra3_conv3 = BasicConv(64, 64, 3, 1)
        self.ra3_conv4 = BasicConv(64, 1, 3, 1)
        self.ra2_conv1 = BasicConv(512, 64)
        self.ra2_conv2 = BasicConv(64, 64, 3, 1)
        self.ra2_conv3 = BasicConv(64, 64, 3, 1)
        self.ra2_conv4 = BasicConv(64, 1, 3, 1)

    def forward(self, images: Tensor) -> MapOutput:
        """Runs the network.

        Args:
            images: float (B, 3, H, W), normalised by `IMAGE_MEAN_RGB` and `IMAGE_STD_RGB`.

        Returns:
            Logits at the input's size: the finest map, and the three coarser ones that training
            looks at as well. Nothing is stretched to the range of its own picture, as the
            published test script does: a picture without a polyp then stays without a mask.

        Raises:
            OptionError: the size is not a multiple of 32.
        """
        size = images.shape[2:]
        if size[0] % 32 or size[1] % 32:
            raise OptionError(
                f"pranet: the input is {size[1]} x {size[0]} px, pad both sides to multiples of 32."
            )
        x2, x3, x4 = self.resnet(images)
        first = self.agg1(self.rfb4_1(x4), self.rfb3_1(x3), self.rfb2_1(x2))

        guess4 = resized(first, x4.shape[2:])
        y = self.ra4_conv1(reversed_attention(x4, guess4))
        for conv in (self.ra4_conv2, self.ra4_conv3, self.ra4_conv4):
            y = torch.relu(conv(y))
        map4 = self.ra4_conv5(y) + guess4

        guess3 = resized(map4, x3.shape[2:])
        y = self.ra3_conv1(reversed_attention(x3, guess3))
        for conv in (self.ra3_conv2, self.ra3_conv3):
            y = torch.relu(conv(y))
        map3 = self.ra3_conv4(y) + guess3

        guess2 = resized(map3, x2.shape[2:])
        y = self.ra2_conv1(reversed_attention(x2, guess2))
        for conv in (self.ra2_conv2, self.ra2_conv3):
            y = torch.relu(conv(y))
        map2 = self.ra2_conv4(y) + guess2
        return MapOutput(*(resized(m, size) for m in (map2, map3, map4, first)))

    def fuse(self) -> PraNet:
        """Returns a copy in eval mode with every BatchNorm folded into its convolution.

        Its outputs equal this network's in eval mode; fusing it again changes nothing.
        """
        network = deepcopy(self).eval()
        for module in network.modules():
            for conv, bn in _pairs(module):
                _fold(module, conv, bn)
        return network


def _pairs(module: nn.Module) -> list[tuple[str, str]]:
    """Names, below a module, of convolutions and of the BatchNorm that follows each."""
    if isinstance(module, BasicConv):
        return [("conv", "bn")]
    if isinstance(module, nn.Sequential):
        names = list(dict(module.named_children()))
        return list(pairwise(names))
    own = dict(module.named_children())
    pairs = [(f"conv{i}", f"bn{i}") for i in (1, 3) if f"bn{i}" in own]
    if isinstance(module, Res2Net50):
        return [("conv1.6", "bn1")]
    if "convs" in own:
        pairs += [(f"convs.{i}", f"bns.{i}") for i in range(len(own["convs"]))]  # type: ignore[arg-type]
    return pairs


def _fold(module: nn.Module, conv_name: str, bn_name: str) -> None:
    conv, bn = module.get_submodule(conv_name), module.get_submodule(bn_name)
    if isinstance(conv, nn.Conv2d) and isinstance(bn, nn.BatchNorm2d):
        module.set_submodule(conv_name, fuse_conv_bn_eval(conv, bn))
        module.set_submodule(bn_name, nn.Identity())
