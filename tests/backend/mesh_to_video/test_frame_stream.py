# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames by several threads: in order, not too many at once, and stopped at any moment."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from numpy.typing import NDArray

from backend.mesh_to_video.film.frame_stream import AHEAD, WORKERS, frames_in_order
from shared.errors import ErrorKind, VividKeysError
from tests.patience import PATIENCE


def number(frame: int) -> NDArray[np.uint8]:
    time.sleep(0.002 * (3 - frame % 3))  # later ones are ready sooner
    return np.array([frame], np.uint8)


def test_frames_come_in_their_order() -> None:
    assert [int(frame[0]) for frame in frames_in_order(number, 50)] == list(range(50))
    assert list(frames_in_order(number, 0)) == []


def test_both_threads_work_and_no_frame_is_made_long_before_it_is_taken() -> None:
    begun: list[int] = []
    # Every frame waits for another thread that makes one at the same time.
    together = threading.Barrier(WORKERS, timeout=PATIENCE)

    def make(frame: int) -> NDArray[np.uint8]:
        begun.append(frame)
        together.wait()
        return number(frame)

    for taken, _ in enumerate(frames_in_order(make, 20 * WORKERS)):
        assert len(begun) <= taken + AHEAD
        if taken < 5:
            time.sleep(0.02)  # time in which too many could be made


def test_an_error_comes_in_its_place() -> None:
    def make(frame: int) -> NDArray[np.uint8]:
        if frame == 7:
            raise ZeroDivisionError
        return number(frame)

    came = []
    with pytest.raises(ZeroDivisionError):
        for frame in frames_in_order(make, 20):
            came.append(int(frame[0]))
    assert came == list(range(7))


def test_cancel_and_close_end_the_threads() -> None:
    before = set(threading.enumerate())
    stop = threading.Event()
    came = 0
    with pytest.raises(VividKeysError) as raised:
        for _ in frames_in_order(number, 100, stop.is_set):
            came += 1
            if came == 5:
                stop.set()
    assert raised.value.kind is ErrorKind.CANCELLED and came == 5
    frames = frames_in_order(number, 100)
    next(frames)
    frames.close()  # type: ignore[attr-defined]
    assert not set(threading.enumerate()) - before
