"""Writes the flat TOML of a card: scalars, lists of scalars, tables, and lists of tables.

The standard library reads TOML and does not write it; a card needs no more than this.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isfinite
from typing import Any

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+")
_UNSAFE = re.compile('[\x00-\x08\x0a-\x1f\x7f"\\\\]')
_SHORT = {"\n": "\\n", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


def to_toml(values: Mapping[str, Any]) -> str:
    """TOML text that `tomllib` reads back as an equal dictionary.

    Args:
        values: str, bool, int, finite float, lists of these, dictionaries of these, or lists
            of such dictionaries.

    Raises:
        ValueError: a value of another kind, deeper nesting, or a float that is not finite.
    """
    tables = {k: v for k, v in values.items() if isinstance(v, Mapping)}
    many = {k: v for k, v in values.items() if _is_table_list(v)}
    lines = _pairs({k: v for k, v in values.items() if k not in tables and k not in many})
    for key, table in tables.items():
        lines += ["", f"[{_key(key)}]", *_pairs(table)]
    for key, rows in many.items():
        for row in rows:
            lines += ["", f"[[{_key(key)}]]", *_pairs(row)]
    return "\n".join(lines) + "\n"


def _is_table_list(value: object) -> bool:
    return isinstance(value, list | tuple) and bool(value) and isinstance(value[0], Mapping)


def _pairs(values: Mapping[str, Any]) -> list[str]:
    return [f"{_key(key)} = {_value(value)}" for key, value in values.items()]


def _key(key: str) -> str:
    return key if _PLAIN_KEY.fullmatch(key) else _text(key)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and isfinite(value):
        return repr(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    raise ValueError(f"a card cannot hold {value!r}")


def _text(text: str) -> str:
    escaped = _UNSAFE.sub(lambda m: _SHORT.get(m[0], f"\\u{ord(m[0]):04x}"), text)
    return f'"{escaped}"'
