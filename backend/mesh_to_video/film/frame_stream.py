# SPDX-License-Identifier: GPL-3.0-or-later
"""The frames of a video in their order, made by a few threads a little ahead of who takes them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from backend.watch import UNWATCHED, Watch

WORKERS = 2
# Frames that are made or wait to be taken: enough that no thread waits, few enough for memory.
AHEAD = 2 * WORKERS


def frames_in_order(
    make: Callable[[int], NDArray[np.uint8]],
    count: int,
    watch: Watch = UNWATCHED,
) -> Iterator[NDArray[np.uint8]]:
    """`make(0)` to `make(count - 1)`, by `WORKERS` threads.

    Never more than `AHEAD` frames are held. Raises VividKeysError(cancelled), or the first error
    of `make` in the order of the frames; closing the iterator drops what was not begun.
    """
    workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="frames")
    under_way: deque[Future[NDArray[np.uint8]]] = deque()
    try:
        for frame in range(count):
            watch.check()
            under_way.append(workers.submit(make, frame))
            if len(under_way) >= AHEAD:
                yield under_way.popleft().result()
        while under_way:
            watch.check()
            yield under_way.popleft().result()
    finally:
        workers.shutdown(wait=True, cancel_futures=True)
