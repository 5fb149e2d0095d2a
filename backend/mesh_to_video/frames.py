# SPDX-License-Identifier: GPL-3.0-or-later
"""The frames of a video one after the other, made on two threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from shared.errors import ErrorKind, VividKeysError

from .frame_renderer import FrameRenderer
from .performance import Performance

# Frames do not depend on each other; more threads would hold more of them in memory at once.
THREADS = 2


def render_frames(
    renderer: FrameRenderer,
    performance: Performance,
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[NDArray[np.uint8]]:
    """All frames uint8 [H,W,C] in order; the same whatever the number of threads.

    Raises VividKeysError(cancelled) once `cancelled()` says so.
    """

    def frame(index: int) -> NDArray[np.uint8]:
        return renderer.frame(performance.vertices(index))

    waiting: deque[Future[NDArray[np.uint8]]] = deque()
    with ThreadPoolExecutor(THREADS, "frames") as threads:
        try:
            for index in range(performance.frame_count):
                waiting.append(threads.submit(frame, index))
                if len(waiting) > THREADS:
                    yield waiting.popleft().result()
                if cancelled():
                    raise VividKeysError(ErrorKind.CANCELLED, "The video was cancelled.")
            while waiting:
                yield waiting.popleft().result()
        finally:
            for late in waiting:
                late.cancel()
