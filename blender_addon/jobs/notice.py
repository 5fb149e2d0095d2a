# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panel says under the connection."""

from __future__ import annotations

from dataclasses import dataclass

from ..contracts import errors


@dataclass(frozen=True)
class Notice:
    """The last thing to tell: an error with its next step, or a report of what was done."""

    sentences: tuple[str, ...]
    next_step: str = ""
    is_error: bool = False


def of_error(error: errors.VividKeysError) -> Notice:
    """An error with its next step, as a notice."""
    return Notice((error.sentence,), error.next_step, is_error=True)
