# SPDX-License-Identifier: GPL-3.0-or-later
"""Who watches long work is told, asked, and told a part as a part."""

from __future__ import annotations

import pytest

from backend.watch import UNWATCHED, Watch
from shared.errors import ErrorKind, VividKeysError


def test_parts_of_parts_are_told_as_parts_of_the_whole() -> None:
    told: list[tuple[float, str]] = []
    watch = Watch(lambda fraction, sentence: told.append((round(fraction, 6), sentence)))
    watch.stage(0.0, "begin")
    half = watch.part(0.5, 1.0)
    half.stage(0.0, "half")
    half.part(0.2, 0.6).stage(0.5, "in the middle of a part of the half")
    half.stage(1.0, "end")
    assert [fraction for fraction, _ in told] == [0.0, 0.5, 0.7, 1.0]
    assert told[1][1] == "half"


def test_a_stage_of_cancelled_work_is_not_told() -> None:
    told: list[str] = []
    stop = False
    watch = Watch(lambda _, sentence: told.append(sentence), lambda: stop)
    watch.check()
    watch.stage(0.1, "one")
    stop = True
    for work in (watch, watch.part(0.0, 0.5)):
        with pytest.raises(VividKeysError) as raised:
            work.stage(0.2, "two")
        assert raised.value.kind is ErrorKind.CANCELLED
    assert told == ["one"]


def test_nobody_may_watch() -> None:
    UNWATCHED.part(0.0, 0.5).stage(0.5, "unheard")
