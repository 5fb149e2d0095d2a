# SPDX-License-Identifier: GPL-3.0-or-later
"""What went wrong in the set-up, as a person should read it."""

from __future__ import annotations


class SetupError(Exception):
    """A set-up step that could not be done.

    `sentence` says what happened, `next_step` the one thing to do about it, `details` holds lines
    that help (the end of a log).
    """

    def __init__(self, sentence: str, next_step: str = "", details: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.next_step = next_step
        self.details = details
