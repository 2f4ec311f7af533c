"""ONNX Runtime on the processor. Imported only where it was chosen.

Belongs to the thread that owns the device.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as errors

from app.core.errors import EnvironmentProblem
from app.inference.engines.export import PICTURE, Outputs
from app.inference.outputs import Output

_ERRORS = (
    errors.EPFail,
    errors.Fail,
    errors.InvalidArgument,
    errors.InvalidGraph,
    errors.InvalidProtobuf,
    errors.NoSuchFile,
    errors.NotImplemented,
    errors.RuntimeException,
)
_ERRORS_ONLY = 3


class OnnxEngine:
    """An exported network in a session of its own.

    Args:
        key: ``onnx`` or ``onnx-int8``.
        model: the ONNX file.
        width_px, height_px: of every picture.
        threads: of the processor.

    Raises:
        EnvironmentProblem: ONNX Runtime cannot load the network.
    """

    def __init__(self, key: str, model: Path, width_px: int, height_px: int, threads: int) -> None:
        self.key = key
        self.precision = "int8 and fp32" if key == "onnx-int8" else "fp32"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        # Threads that spin for work take it from the player.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(
                str(model), options, providers=["CPUExecutionProvider"]
            )
        except _ERRORS as error:
            raise EnvironmentProblem("ONNX Runtime cannot load this network.", str(error)) from (
                error
            )
        self._outputs = Outputs(width_px, height_px)

    def forward(self, picture: NDArray[np.uint8]) -> Output:
        """See ``Engine``."""
        try:
            return self._outputs.whole(self._session.run(None, {PICTURE: picture[None]}))
        except _ERRORS as error:
            raise RuntimeError(str(error)) from error
