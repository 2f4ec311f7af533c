"""LMSF-A, a light instance segmentation network for endoscopy, with its ablation switches.

Written from the paper's tables and the published configuration file; the specification
(section 1) explains which statements of the paper its own numbers rule out. All three
switches off is the YOLOv8n-seg baseline.
"""

from __future__ import annotations

from copy import deepcopy
from functools import partial
from math import ceil

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.blocks.conv import SPPF, C2f, Conv
from models.blocks.fusion import SSFF, triple_encode
from models.blocks.repvit import ATTENTIONS, C2fPro
from models.errors import OptionError
from models.lmsf_a.head import HEADS, LMSH, DecoupledHead, Levels, assemble
from models.types import InstanceOutput


class LMSFA(nn.Module):
    """Instance segmentation on (B, 3, H, W) in [0, 1], RGB, H and W multiples of 32.

    Args:
        num_classes: K, at least 1.
        c2f_pro: RepViT stages with attention in place of C2f.
        neck: the TFE and SSFF neck in place of YOLOv8's.
        lmsh: the shared GroupNorm head in place of the decoupled one.
        width: channel multiple of the 64..1024 ladder; 0.25 is the published "n" scale and
            0.125 halves every channel.
        depth: repeat multiple of the 3, 6, 6, 3 ladder; 0.33 is the published one.
        prototypes: P.
        norm: "bn", or "gn" to train with batches of one or two (GroupNorm cannot be folded).
        attention: in the RepViT units: "ema" as published, "se" or "none".
        head: what stands where `lmsh` is off: "yolov8", "lqe", "efficient" or "ladh".
    """

    def __init__(
        self,
        *,
        num_classes: int = 4,
        c2f_pro: bool = True,
        neck: bool = True,
        lmsh: bool = True,
        width: float = 0.25,
        depth: float = 0.33,
        prototypes: int = 32,
        norm: str = "bn",
        attention: str = "ema",
        head: str = "yolov8",
    ) -> None:
        super().__init__()
        if attention not in ATTENTIONS or head not in HEADS:
            raise OptionError(
                f'lmsf_a: attention is "{attention}" and head is "{head}"; give one of '
                f"{', '.join(ATTENTIONS)}, and one of {', '.join(HEADS)}."
            )
        if (lmsh and head != "yolov8") or (not c2f_pro and attention != "ema"):
            raise OptionError(
                "lmsf_a: another head needs lmsh = false, another attention c2f_pro = true."
            )
        if norm not in ("bn", "gn"):
            raise OptionError(f'lmsf_a: norm is "{norm}", give "bn" or "gn".')
        if num_classes < 1 or prototypes < 1 or not 0.05 <= width <= 2 or not 0 < depth <= 2:
            raise OptionError(
                "lmsf_a: num_classes and prototypes must be at least 1, "
                "width 0.05 to 2, depth above 0 to 2."
            )
        c1, c2, c3, c4, c5 = (ceil(c * width / 8) * 8 for c in (64, 128, 256, 512, 1024))
        once, twice = max(round(3 * depth), 1), max(round(6 * depth), 1)
        self.num_classes, self.neck_fusion = num_classes, neck
        stage = partial(C2fPro, attention=attention) if c2f_pro else C2f

        def conv(a: int, b: int, k: int = 1, s: int = 1) -> Conv:
            return Conv(a, b, k, s, norm)

        self.stem = conv(3, c1, 3, 2)
        self.down2 = conv(c1, c2, 3, 2)
        self.stage2 = stage(c2, c2, once, shortcut=True, norm=norm)
        self.down3 = conv(c2, c3, 3, 2)
        self.stage3 = stage(c3, c3, twice, shortcut=True, norm=norm)
        self.down4 = conv(c3, c4, 3, 2)
        self.stage4 = stage(c4, c4, twice, shortcut=True, norm=norm)
        self.down5 = conv(c4, c5, 3, 2)
        self.stage5 = stage(c5, c5, once, shortcut=True, norm=norm)
        self.pool = SPPF(c5, c5, norm)
        if neck:
            self.lateral5 = conv(c5, c4)
            self.lateral3 = conv(c3, c4)
            self.top4 = stage(c4 * 3, c4, once, norm=norm)
            self.lateral4 = conv(c4, c3)
            self.lateral2 = conv(c2, c3)
            self.top3 = stage(c3 * 3, c3, once, norm=norm)
            self.fusion = SSFF((c3, c4, c5), c3, norm)
            merge4, merge5 = 2 * c3, 2 * c4
        else:
            self.top4 = stage(c5 + c4, c4, once, norm=norm)
            self.top3 = stage(c4 + c3, c3, once, norm=norm)
            merge4, merge5 = c3 + c4, c4 + c5
        self.bottom_down4 = conv(c3, c3, 3, 2)
        self.bottom4 = stage(merge4, c4, once, norm=norm)
        self.bottom_down5 = conv(c4, c4, 3, 2)
        self.bottom5 = stage(merge5, c5, once, norm=norm)
        inputs = ((c3, c4, c5), num_classes, c3, prototypes, norm)
        self.head = LMSH(*inputs) if lmsh else DecoupledHead(*inputs, form=head)

    def forward(self, images: Tensor) -> InstanceOutput:
        """Runs the network.

        Args:
            images: float (B, 3, H, W) in [0, 1], RGB, H and W multiples of 32.

        Returns:
            Raw boxes, class logits, mask coefficients and prototypes with their anchors.

        Raises:
            OptionError: the size is not a multiple of 32.
        """
        if images.shape[2] % 32 or images.shape[3] % 32:
            raise OptionError(
                f"lmsf_a: the input is {images.shape[3]} x {images.shape[2]} px, "
                "pad both sides to multiples of 32."
            )
        return assemble(*self.levels(images))

    def levels(self, images: Tensor) -> Levels:
        """What `forward` puts together, each level apart, as exports have it."""
        p2 = self.stage2(self.down2(self.stem(images)))
        p3 = self.stage3(self.down3(p2))
        p4 = self.stage4(self.down4(p3))
        p5 = self.stage5(self.down5(p4))
        neck = self._fusion_neck if self.neck_fusion else self._plain_neck
        return self.head(neck(p2, p3, p4, p5))

    def _fusion_neck(
        self, p2: Tensor, p3: Tensor, p4: Tensor, p5: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        deep = self.lateral5(self.pool(p5))
        middle = self.top4(triple_encode(self.lateral3(p3), p4, deep))
        middle = self.lateral4(middle)
        fine = self.top3(triple_encode(self.lateral2(p2), p3, middle))
        out4 = self.bottom4(torch.cat((self.bottom_down4(fine), middle), 1))
        out5 = self.bottom5(torch.cat((self.bottom_down5(out4), deep), 1))
        return fine + self.fusion(p3, p4, p5), out4, out5

    def _plain_neck(
        self, _p2: Tensor, p3: Tensor, p4: Tensor, p5: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        deep = self.pool(p5)
        middle = self.top4(torch.cat((F.interpolate(deep, scale_factor=2.0), p4), 1))
        fine = self.top3(torch.cat((F.interpolate(middle, scale_factor=2.0), p3), 1))
        out4 = self.bottom4(torch.cat((self.bottom_down4(fine), middle), 1))
        out5 = self.bottom5(torch.cat((self.bottom_down5(out4), deep), 1))
        return fine, out4, out5

    def fuse(self) -> LMSFA:
        """Returns a copy in eval mode with every BatchNorm2d behind a convolution folded in.

        GroupNorm and SSFF's BatchNorm stay, as in the published parameter counts. The
        copy's outputs equal this network's in eval mode; fusing it again changes nothing.
        """
        copy = deepcopy(self).eval()
        for module in list(copy.modules()):
            if module is not copy and callable(fold := getattr(module, "fuse", None)):
                fold()
        return copy
