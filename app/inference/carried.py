"""The state that a network carries from frame to frame, as bytes to be stored and back again.

For the thread that owns the device; imports torch through the networks alone.
"""

from __future__ import annotations

import io
import zipfile
from typing import Any

import numpy as np

from app.core.errors import BadInput
from models import ModelError


def packed(state: Any) -> bytes:
    """A state to be stored; empty for None, before the first frame."""
    if state is None:
        return b""
    out = io.BytesIO()
    np.savez(out, **state.to_arrays())
    return out.getvalue()


def unpacked(snapshot: bytes, network: Any) -> Any:
    """The state that ``packed`` made of one of the network's, None of empty bytes.

    Raises:
        BadInput: the bytes are not a state of this network.
    """
    if not snapshot:
        return None
    try:
        with np.load(io.BytesIO(snapshot), allow_pickle=False) as arrays:
            state = network.state_type.from_arrays(dict(arrays))
        network.check(state, batch=1)
    except (ValueError, OSError, zipfile.BadZipFile, ModelError) as error:
        raise BadInput(
            "A stored state of the model cannot be read; it is computed anew.", str(error)
        ) from error
    return state
