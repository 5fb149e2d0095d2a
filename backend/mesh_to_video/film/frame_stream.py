# SPDX-License-Identifier: GPL-3.0-or-later
"""The frames of a video in order, rendered by a few threads slightly ahead of the consumer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from jaxtyping import UInt8

from backend.watch import UNWATCHED, Watch

WORKERS = 2
# Frames in progress or waiting to be taken: enough to keep all threads busy, few enough for memory.
AHEAD = 2 * WORKERS


def frames_in_order(
    make: Callable[[int], UInt8[np.ndarray, "H W C"]],
    count: int,
    watch: Watch = UNWATCHED,
) -> Iterator[UInt8[np.ndarray, "H W C"]]:
    """`make(0)` to `make(count - 1)`, run by `WORKERS` threads.

    At most `AHEAD` frames are held. Raises VividKeysError(cancelled), or the first error of `make`
    in frame order; closing the iterator drops frames that were not begun.
    """
    workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="frames")
    under_way: deque[Future[UInt8[np.ndarray, "H W C"]]] = deque()
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
