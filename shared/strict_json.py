# SPDX-License-Identifier: GPL-3.0-or-later
"""A strict parser for JSON from elsewhere, which raises ValueError with a reason.

Python's own parser accepts more than JSON allows (NaN, infinity) and more than the rest of a
program can handle: numbers too large for a float, texts that cannot be written as UTF-8 again,
nesting that exhausts the stack.
"""

from __future__ import annotations

import json
import math
from typing import Any

DEEPEST = 48
"""How deep objects and lists may be nested in messages and saved files."""
# A larger integer is not a count, size or seed, and may overflow when converted to a float.
_LARGEST_INTEGER = 1 << 64


def parse_json(
    data: bytes | bytearray | memoryview | str,
    *,
    deepest: int | None = DEEPEST,
    duplicates: bool = False,
) -> Any:
    """The value of a JSON text in UTF-8. Raises ValueError with the end of a sentence.

    With `deepest` None only the interpreter's stack limits the depth, and texts are not checked:
    for large files of other programs, whose values are checked one by one. A key that occurs twice
    is an error unless `duplicates` is true; then the last one counts.
    """
    text = data if isinstance(data, str) else bytes(data).decode("utf-8")
    try:
        value = json.loads(
            text,
            object_pairs_hook=None if duplicates else _without_duplicates,
            parse_constant=_refuse_constant,
            parse_float=_finite_float,
            parse_int=_bounded_integer,
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if deepest is not None:
        _check_depth_and_texts(value, deepest)
    return value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key[:40]!r} occurs twice")
        found[key] = value
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number")


def _finite_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is too large a number")
    return value


def _bounded_integer(text: str) -> int:
    # The length is checked first: the time to parse an integer grows with its square.
    if len(text) > 21 or not -_LARGEST_INTEGER < (value := int(text)) < _LARGEST_INTEGER:
        raise ValueError(f"{text[:40]} is too large a number")
    return value


def _check_depth_and_texts(value: Any, deepest: int) -> None:
    """Iterative, so that it cannot exhaust a stack that was just large enough for the parser."""
    level, depth = [value], 0
    while level:
        below: list[Any] = []
        for entry in level:
            if isinstance(entry, str):
                _check_text(entry)
            elif isinstance(entry, dict):
                for key in entry:
                    _check_text(key)
                below += entry.values()
            elif isinstance(entry, list):
                below += entry
        containers = any(isinstance(entry, dict | list) for entry in level)
        depth += containers
        if depth > deepest:
            raise ValueError("it is nested too deeply")
        level = below


def _check_text(text: str) -> None:
    # A lone surrogate is a legal JSON escape and cannot be written as UTF-8 again.
    if not text.isascii() and any(0xD800 <= ord(letter) < 0xE000 for letter in text):
        raise ValueError("a text in it holds half a surrogate pair")
