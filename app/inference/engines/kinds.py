"""The engines by name, and why one cannot be here. Imports none of them, nor torch."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from shutil import which

from app.core.errors import BadInput

AUTOMATIC = "auto"
EAGER = "torch"

_CPU, _CUDA, _MPS = "cpu", "cuda", "mps"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One engine.

    Attributes:
        key: as settings, runs and commands name it.
        title: as people read it.
        devices: kinds of device that it computes for.
        packages: that it imports.
        extra: of ``pip install trocar[…]`` that brings them.
        int8: computes convolutions on 8-bit whole numbers.
    """

    key: str
    title: str
    devices: tuple[str, ...] = (_CPU,)
    packages: tuple[str, ...] = ()
    extra: str = ""
    int8: bool = False

    @property
    def is_torch(self) -> bool:
        """Whether PyTorch itself computes."""
        return not self.packages


_OPENVINO = ("openvino", "onnx")
_ONNX = ("onnxruntime", "onnx")

KINDS = (
    Kind(key=EAGER, title="PyTorch", devices=(_CPU, _CUDA, _MPS)),
    Kind(key="torch-half", title="PyTorch, half precision", devices=(_CPU, _CUDA, _MPS)),
    Kind(key="cuda-graph", title="CUDA graph, half precision", devices=(_CUDA,)),
    Kind(key="openvino", title="OpenVINO", packages=_OPENVINO, extra="openvino"),
    Kind(key="openvino-bf16", title="OpenVINO, bf16", packages=_OPENVINO, extra="openvino"),
    Kind(
        key="openvino-gpu",
        title="OpenVINO, Intel graphics",
        packages=_OPENVINO,
        extra="openvino",
    ),
    Kind(key="onnx", title="ONNX Runtime", packages=_ONNX, extra="onnx"),
    Kind(
        key="openvino-int8",
        title="OpenVINO, int8",
        packages=(*_OPENVINO, "onnxruntime"),
        extra="openvino,onnx",
        int8=True,
    ),
    Kind(key="onnx-int8", title="ONNX Runtime, int8", packages=_ONNX, extra="onnx", int8=True),
)

CHOICES = (AUTOMATIC, *(k.key for k in KINDS))


def kind_of(key: str) -> Kind:
    """An engine by its key.

    Raises:
        BadInput: there is none.
    """
    for kind in KINDS:
        if kind.key == key:
            return kind
    raise BadInput(f"There is no engine “{key}”; there are {', '.join(CHOICES)}.")


def why_absent(kind: Kind, device: str) -> str:
    """Why an engine cannot be tried for a device, as a sentence; "" where it can.

    Args:
        kind: which engine.
        device: torch's name, such as ``cuda:0``.
    """
    if device.partition(":")[0] not in kind.devices:
        return f"{kind.title} computes on {' or '.join(_WORDS[d] for d in kind.devices)}."
    if missing := _missing(kind):
        return f"{missing[0]} is not installed; “pip install trocar[{kind.extra}]” brings it."
    return ""


def is_installed(kind: Kind) -> bool:
    """Whether an engine's packages and drivers are here; it may be refused all the same."""
    return not _missing(kind) and (kind.devices != (_CUDA,) or which("nvidia-smi") is not None)


def _missing(kind: Kind) -> list[str]:
    return [p for p in kind.packages if find_spec(p) is None]


_WORDS = {_CPU: "the processor", _CUDA: "an NVIDIA card", _MPS: "Apple's graphics"}
