"""OpenVINO on the processor, or on Intel graphics. Imported only where it was chosen.

It reads the ONNX file itself; its own converter, which would report its use to its makers, is
never called. Belongs to the thread that owns the device.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino
from numpy.typing import NDArray

from app.core.errors import EnvironmentProblem
from app.inference.engines.export import Outputs
from app.inference.outputs import Output

_PRECISIONS = {"openvino": "f32", "openvino-bf16": "bf16", "openvino-gpu": "f16"}


class OpenVinoEngine:
    """An exported network, compiled for this machine.

    Args:
        key: which kind of OpenVINO.
        model: the ONNX file.
        width_px, height_px: of every picture.
        threads: of the processor.

    Raises:
        EnvironmentProblem: the machine lacks what that kind needs, or cannot compile the network.
    """

    def __init__(self, key: str, model: Path, width_px: int, height_px: int, threads: int) -> None:
        self.key = key
        core = openvino.Core()
        device = "GPU" if key == "openvino-gpu" else "CPU"
        precision = _PRECISIONS.get(key) or ("bf16" if _has_bf16(core) else "f32")
        if device not in {name.partition(".")[0] for name in core.available_devices}:
            raise EnvironmentProblem("OpenVINO found no Intel graphics here.")
        if key == "openvino-bf16" and not _has_bf16(core):
            raise EnvironmentProblem("This processor computes nothing in bf16 by itself.")
        settings: dict[str, object] = {
            "INFERENCE_PRECISION_HINT": precision,
            "NUM_STREAMS": 1,
        }
        if device == "CPU":
            settings["INFERENCE_NUM_THREADS"] = threads
        else:
            settings["CACHE_DIR"] = str(model.parent)  # kernels take seconds to build
        try:
            self._request = core.compile_model(str(model), device, settings).create_infer_request()
        except RuntimeError as error:
            raise EnvironmentProblem("OpenVINO cannot compile this network.", str(error)) from error
        rest = {"f32": "fp32", "f16": "fp16"}.get(precision, precision)
        self.precision = f"int8 and {rest}" if key == "openvino-int8" else rest
        self._outputs = Outputs(width_px, height_px)

    def forward(self, picture: NDArray[np.uint8]) -> Output:
        """See ``Engine``; some of what it returns is overwritten by the next call."""
        self._request.infer([picture[None]])
        return self._outputs.whole([t.data for t in self._request.output_tensors])


def _has_bf16(core: openvino.Core) -> bool:
    return "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
