# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of single values from the other side: each takes any object and returns the valid value.

A check raises ValueError with the end of a sentence ("must be ..."); the caller knows the name of
the field and completes the sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

Check = Callable[[object], Any]

_JOB = re.compile(r"[0-9a-f]{32}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_WORD = re.compile(r"[a-z][a-z0-9_]{0,31}")


def text(longest: int) -> Check:
    """A string of at most `longest` characters without control characters."""

    def check(value: object) -> str:
        if not isinstance(value, str):
            raise ValueError("must be a text")
        if len(value) > longest:
            raise ValueError(f"must have at most {longest} characters")
        # A lone surrogate is a legal JSON escape and cannot be written as UTF-8 again.
        if any(ord(letter) < 32 or 0xD800 <= ord(letter) < 0xE000 for letter in value):
            raise ValueError("must not hold control characters")
        return value

    return check


def printable(value: str, longest: int) -> str:
    """Any text, made acceptable to `text(longest)`: an exception's text may hold anything."""
    return "".join(letter if letter.isprintable() else " " for letter in value[:longest])


def file_label(value: object) -> str:
    """The bare name of a file, for sentences; never used to open a file."""
    label: str = text(255)(value)
    if "/" in label or "\\" in label:
        raise ValueError("must be a name without folders")
    return label


def job_id(value: object) -> str:
    """32 hexadecimal digits: a uuid4 made by the client."""
    if not isinstance(value, str) or not _JOB.fullmatch(value):
        raise ValueError("must be 32 lower-case hexadecimal digits")
    return value


def no_or_job_id(value: object) -> str:
    """A job id, or an empty text."""
    return "" if value == "" else job_id(value)


def sha256(value: object) -> str:
    """64 hexadecimal digits: the SHA-256 of some bytes."""
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise ValueError("must be 64 lower-case hexadecimal digits")
    return value


def no_or_sha256(value: object) -> str:
    """A SHA-256, or an empty text."""
    return "" if value == "" else sha256(value)


def word(value: object) -> str:
    """A lower-case name such as the kind of a job."""
    if not isinstance(value, str) or not _WORD.fullmatch(value):
        raise ValueError("must be a short lower-case name")
    return value


def integer(lowest: int, highest: int) -> Check:
    """A whole number from `lowest` to `highest`."""

    def check(value: object) -> int:
        # In Python True is an int; in JSON it is not a number.
        if type(value) is not int or not lowest <= value <= highest:
            raise ValueError(f"must be a whole number from {lowest} to {highest}")
        return value

    return check


def number(lowest: float, highest: float) -> Check:
    """A finite number from `lowest` to `highest`; returns a float."""

    def check(value: object) -> float:
        # Compared before it is converted: an int may exceed any float. NaN is in no range.
        if type(value) not in (int, float) or not lowest <= value <= highest:  # type: ignore[operator]
            raise ValueError(f"must be a number from {lowest:g} to {highest:g}")
        return float(value)  # type: ignore[arg-type]

    return check


def flag(value: object) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def one_of(*choices: str) -> Check:
    """One of these texts."""

    def check(value: object) -> str:
        if value not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return str(value)

    return check


def json_object(value: object) -> dict[str, Any]:
    """A JSON object; its contents are checked where they are used."""
    if not isinstance(value, dict):
        raise ValueError("must be a JSON object")
    return value


def json_list(longest: int, item: Check) -> Check:
    """A list of at most `longest` values that each pass `item`; returns a tuple."""

    def check(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise ValueError("must be a list")
        if len(value) > longest:
            raise ValueError(f"must have at most {longest} entries")
        return tuple(item(entry) for entry in value)

    return check
