"""Weights that others released for PraNet, or for its encoder alone, with a full account.

Read: a whole PraNet (`PraNet-19.pth`: bare, 922 names), and an ImageNet Res2Net-50 v1b 26w x 4s
(`res2net50_v1b_26w_4s-*.pth`: the encoder's own names). Runs wherever a foreign file is converted;
reading the file itself, under limits, is the caller's work.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from models.errors import CheckpointError
from models.foreign import ConversionReport
from models.pranet.network import PraNet

_INSIDE = ("state_dict", "model")
_PREFIXES = ("module.",)
_ENCODER = "resnet."
_UNUSED = (f"{_ENCODER}fc.weight", f"{_ENCODER}fc.bias")
# In no other Res2Net does the stem's third convolution lead to splits of 26 channels.
_TELLING = ("conv1.6.weight", "layer1.0.convs.2.weight")


def is_pranet(checkpoint: Mapping[str, object]) -> bool:
    """Whether a file's content looks like PraNet or like its encoder."""
    names = _tensors(checkpoint).keys()
    return any(all(f"{p}{n}" in names for n in _TELLING) for p in ("", _ENCODER))


def convert(checkpoint: Mapping[str, object]) -> tuple[PraNet, ConversionReport]:
    """The network that a file holds; around an encoder alone, a fresh decoder.

    Raises:
        CheckpointError: it is neither, or has tensors missing, more, or of other shapes.
    """
    tensors = _tensors(checkpoint)
    layout = "pranet" if _ENCODER + _TELLING[0] in tensors else "imagenet"
    if layout == "imagenet":
        tensors = {_ENCODER + name: value for name, value in tensors.items()}
    torch.manual_seed(0)
    network = PraNet()
    own = network.state_dict()
    wanted = {n for n in own if layout == "pranet" or n.startswith(_ENCODER)}
    if lacking := sorted(n for n in wanted - tensors.keys() if not n.endswith("batches_tracked")):
        raise CheckpointError(
            f"The weights are incomplete: {len(lacking)} tensors are missing, {lacking[0]} first."
        )
    if unknown := sorted(tensors.keys() - wanted - set(_UNUSED)):
        raise CheckpointError(f"The weights are of another network: it has no {unknown[0]}.")
    found = {name: value for name, value in tensors.items() if name in wanted}
    for name, value in found.items():
        if value.shape != own[name].shape:
            raise CheckpointError(
                f"The weights are of another network: {name} is {tuple(value.shape)}, "
                f"this one needs {tuple(own[name].shape)}."
            )
    network.load_state_dict(found, strict=False)
    return network, ConversionReport(
        layout=layout,
        loaded=tuple(sorted(found)),
        missing=tuple(sorted(own.keys() - found.keys())),
        unexpected=tuple(sorted(tensors.keys() - found.keys())),
    )


def _tensors(checkpoint: Mapping[str, object]) -> dict[str, Tensor]:
    """The file's tensors, without the names that training scripts wrap them in."""
    inner: object = checkpoint
    for key in _INSIDE:
        if isinstance(inner, Mapping) and isinstance(inner.get(key), Mapping):
            inner = inner[key]
    named = inner.items() if isinstance(inner, Mapping) else ()
    found = {}
    for name, value in named:
        if isinstance(value, Tensor):
            for prefix in _PREFIXES:
                name = str(name).removeprefix(prefix)
            found[str(name)] = value
    return found
