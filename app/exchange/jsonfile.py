"""One bounded JSON reader for every annotation format (specs: reliability, annotation files)."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from app.core.errors import BadInput

MAX_BYTES = 512 * 2**20


def read_json(path: Path) -> Any:
    """Read a JSON file of finite numbers and unique keys.

    Raises:
        BadInput: missing, larger than 512 MiB, damaged, nested too deep, with NaN or infinite
            numbers, or with a key that occurs twice.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadInput(f"{path.name} is larger than 512 MiB; it was not read.")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"{path.name} is not UTF-8 text; save it as UTF-8.", str(error)) from error
    except OSError as error:
        raise unread(path, error) from error
    return parse_json(text, path.name)


def unread(path: Path, error: OSError) -> BadInput:
    """Why a file was not read: it is missing, or something else."""
    why = "is not there" if isinstance(error, FileNotFoundError) else "cannot be read"
    return BadInput(f"{path.name} {why}.", str(error))


def parse_json(text: str, name: str) -> Any:
    """The same of a text that was read from the file ``name``."""
    try:
        return json.loads(
            text, object_pairs_hook=_unique, parse_constant=_refuse, parse_float=_finite
        )
    except RecursionError as error:
        raise BadInput(f"{name} is nested too deep; it was not read.") from error
    except ValueError as error:
        # What fails at its very end, or in a text that never closes, was cut when it was copied.
        pos = getattr(error, "pos", None)
        cut = pos is not None and ("Unterminated" in str(error) or not text[pos:].strip())
        if cut and text.strip():
            raise BadInput(f"{name} ends in the middle; copy it again.", str(error)) from error
        raise BadInput(f"{name} is not valid JSON: {error}.", str(error)) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        keys = [k for k, _ in pairs]
        twice = next(k for k in keys if keys.count(k) > 1)
        raise ValueError(f"the key {twice[:40]!r} occurs twice")
    return out


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not a number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is too large")
    return value
