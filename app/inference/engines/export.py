"""A network as an ONNX file, kept in the user's cache, and the same with int8 convolutions.

Written by a child process alone (``examining``). A file holds one network for pictures of one size:
uint8 (1, H, W, 3) in; out come boxes, class logits and mask coefficients of each level apart, and
prototypes, or one map. Nothing is decoded or joined inside: what shares no scale shares no tensor.
"""

from __future__ import annotations

import os
import shutil
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from app.inference.cards import load_network
from app.inference.engines.eager import normalised, prepared
from models import ModelCard
from models.types import InstanceOutput, MapOutput, anchor_grid

MODEL_FILE, INT8_FILE = "model.onnx", "model-int8.onnx"
PICTURE = "picture"
STRIDES_PX = (8, 16, 32)
_FORM = 3
_OPSET = 17
_STALE_AFTER_S = 60 * 86400.0


def cache_folder() -> Path:
    """Where what is made for engines lies; ``TROCAR_CACHE`` names another folder."""
    named = os.environ.get("TROCAR_CACHE")
    root = Path(named) if named else platformdirs.user_cache_path("Trocar", appauthor=False)
    return root / "engines"


def folder_of(card: ModelCard, width_px: int, height_px: int) -> Path:
    """The folder of one network at one size, as this version exports it."""
    torch_version = torch.__version__.partition("+")[0]
    size = f"{width_px}x{height_px}"
    return cache_folder() / f"{card.weights_sha256[:20]}-{size}-f{_FORM}-torch{torch_version}"


def exported(card: ModelCard, width_px: int, height_px: int) -> Path:
    """The network as an ONNX file; written where it is missing.

    Raises:
        BadInput: the weights are missing or damaged.
        RuntimeError: the network holds something that ONNX has not.
    """
    folder = folder_of(card, width_px, height_px)
    path = folder / MODEL_FILE
    if path.is_file():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    network = (
        _Exported(prepared(load_network(card)), card).eval().requires_grad_(requires_grad=False)
    )
    picture = torch.zeros((1, height_px, width_px, 3), dtype=torch.uint8)
    part = folder / f"{MODEL_FILE}.{os.getpid()}.part"
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")  # sizes are constants of the file, as meant
            torch.onnx.export(
                network,
                (picture,),
                str(part),
                dynamo=False,
                opset_version=_OPSET,
                input_names=[PICTURE],
                output_names=list(_names(network(picture))),
            )
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def quantised(source: Path, pictures: Sequence[NDArray[np.uint8]]) -> Path:
    """The file with every convolution in int8, one scale per output channel, and nothing else.

    Args:
        source: from ``exported``.
        pictures: uint8 (H, W, 3) of the file's size, by which the activations' ranges are found.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    path = source.with_name(INT8_FILE)
    if path.is_file():
        return path
    folded = source.with_name(f"folded.{os.getpid()}.part")
    part = source.with_name(f"{INT8_FILE}.{os.getpid()}.part")
    try:
        quant_pre_process(str(source), str(folded), skip_symbolic_shape=True)
        quantize_static(
            str(folded),
            str(part),
            _Reader(pictures),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            per_channel=True,
            weight_type=QuantType.QInt8,
            activation_type=QuantType.QUInt8,
            extra_options={"OpTypesToExcludeOutputQuantization": ["Conv"]},
        )
        _spare_the_others(part)
        part.replace(path)
    finally:
        folded.unlink(missing_ok=True)
        part.unlink(missing_ok=True)
    return path


def _spare_the_others(path: Path) -> None:
    """Give what shares an input with a convolution the tensor as it was before rounding."""
    import onnx

    model = onnx.load(path)
    made_by = {name: node for node in model.graph.node for name in node.output}
    for node in model.graph.node:
        if node.op_type in ("Conv", "QuantizeLinear", "DequantizeLinear"):
            continue
        for place, name in enumerate(node.input):
            back = made_by.get(name)
            if back is None or back.op_type != "DequantizeLinear":
                continue
            if (rounding := made_by.get(back.input[0])) is not None:
                node.input[place] = rounding.input[0]
    onnx.save(model, path)


def remove_stale(keep: Path) -> None:
    """Delete what other versions made of the same network and size, and what nobody uses.

    Args:
        keep: the folder in use; it counts as used now.
    """
    keep.mkdir(parents=True, exist_ok=True)
    os.utime(keep)
    same = "-".join(keep.name.split("-")[:2]) + "-"
    for folder in keep.parent.iterdir():
        old = time.time() - folder.stat().st_mtime > _STALE_AFTER_S
        if folder != keep and (old or folder.name.startswith(same)):
            shutil.rmtree(folder, ignore_errors=True)


class Outputs:
    """Puts together what an exported network gave, as PyTorch would have given it.

    Args:
        width_px, height_px: of the pictures.
    """

    def __init__(self, width_px: int, height_px: int) -> None:
        self._centres, self._strides = anchor_grid(height_px, width_px, STRIDES_PX)

    def whole(self, arrays: Sequence[NDArray[np.float32]]) -> InstanceOutput | MapOutput:
        """From the arrays in the file's order; they are copied or used up before the next call."""
        if len(arrays) == 1:
            logits = torch.from_numpy(arrays[0])
            return MapOutput(logits, logits, logits, logits)
        *levels, prototypes = (torch.from_numpy(a) for a in arrays)
        count = len(levels) // 3
        boxes, logits, coefficients = (
            torch.cat(levels[first : first + count], 1).transpose(1, 2)
            for first in range(0, 3 * count, count)
        )
        return InstanceOutput(
            boxes,
            logits,
            coefficients,
            prototypes.permute(0, 3, 1, 2),
            self._centres,
            self._strides,
        )


class _Exported(nn.Module):
    """From bytes to what leaves the network, in the order of memory that is read afterwards."""

    def __init__(self, network: nn.Module, card: ModelCard) -> None:
        super().__init__()
        self.network: Any = network
        self._card = card

    def forward(self, picture: Tensor) -> tuple[Tensor, ...]:
        images = normalised(picture.permute(0, 3, 1, 2).float(), self._card)
        if not hasattr(self.network, "levels"):
            return (self.network(images).logits,)
        *parts, prototypes = self.network.levels(images)
        levels = [level.permute(0, 2, 3, 1).flatten(1, 2) for part in parts for level in part]
        return (*levels, prototypes.permute(0, 2, 3, 1))


def _names(outputs: Sequence[Tensor]) -> Iterator[str]:
    if len(outputs) == 1:
        yield "logits"
        return
    for part in ("boxes", "class_logits", "mask_coefficients"):
        yield from (f"{part}_{stride}" for stride in STRIDES_PX)
    yield "prototypes"


class _Reader:
    """Pictures one by one, as ONNX Runtime's calibration asks for them."""

    def __init__(self, pictures: Iterable[NDArray[np.uint8]]) -> None:
        self._left = iter(pictures)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """The next input, None after the last."""
        picture = next(self._left, None)
        return None if picture is None else {PICTURE: picture[None]}
