"""Released weights of SurgVLP, HecVL and PeskaVLP, of which the image tower is kept.

Read: `backbone_img.model.*` (torchvision's ResNet-50) and `backbone_img.global_embedder.*`. The
text tower (`backbone_text.*`, a BERT that needs its word list) is left out with a word in the
report: prompts come as vectors, see `models.prompts`. Runs wherever a foreign file is converted;
reading the file itself, under limits, is the caller's work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from models.errors import CheckpointError
from models.foreign import ConversionReport, bare_name, load_whole, weights_inside
from models.surgvlp.network import SurgVlp

_TOWER, _TEXT = "backbone_img.", "backbone_text."
_MAP = "global_embedder.weight"
# ImageNet's classifier, which the tower carries along unused.
_UNUSED = "model.fc."


def is_surgvlp(checkpoint: Mapping[str, object]) -> bool:
    """Whether a file's content looks like one of the family."""
    return any(bare_name(n) == _TOWER + _MAP for n in weights_inside(checkpoint))


def convert(checkpoint: Mapping[str, object]) -> tuple[dict[str, Any], SurgVlp, ConversionReport]:
    """The image tower of a file.

    Returns:
        The network's options, the network, and what became of every name.

    Raises:
        CheckpointError: a tensor of the tower is missing, of another shape or not finite.
    """
    tensors = weights_inside(checkpoint)
    bare = {name: bare_name(name) for name in tensors}
    ours: dict[str, Tensor] = {
        short.removeprefix(_TOWER): tensors[name]
        for name, short in bare.items()
        if short.startswith(_TOWER) and not short.startswith(_TOWER + _UNUSED)
    }
    weight = ours.get(_MAP)
    if weight is None or weight.ndim != 2:
        raise CheckpointError("The file holds no image tower of SurgVLP.")
    options = {"embedding": len(weight)}
    network = SurgVlp(**options)
    report = load_whole(network, {n: v.float() for n, v in ours.items()}, "surgvlp")
    left = [n for n, short in bare.items() if short.removeprefix(_TOWER) not in ours]
    return options, network, replace(report, unexpected=tuple(sorted(left)))


def has_text_tower(report: ConversionReport) -> bool:
    """Whether the file held a text tower too, which was left out."""
    return any(bare_name(name).startswith(_TEXT) for name in report.unexpected)
