# SPDX-License-Identifier: GPL-3.0-or-later
"""The frames of a video in their order from batches that a device makes, whatever its memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from backend.mesh_to_video.film.frame_stream import frames_in_order
from backend.watch import UNWATCHED, Watch

Singles = NDArray[np.float32]
Pixels = NDArray[np.uint8]
Done = TypeVar("Done")

NO_MEMORY = "The memory of the graphics device did not suffice for even one frame."


class DeviceUnusableError(Exception):
    """A device cannot make a video; the text is a sentence for the user about why."""


class BatchRenderer(Protocol):
    """Makes the pictures [B,H,W,C] of heads [B,V,3]; may raise torch's errors."""

    batch: int

    def frames(self, vertices: Singles) -> Pixels: ...


def frames_in_batches(
    prepare: Callable[[], BatchRenderer],
    vertices: Callable[[int], Singles],
    count: int,
    *,
    on_cpu: Callable[[Singles], Pixels],
    warn: Callable[[str], None],
    watch: Watch = UNWATCHED,
) -> Iterator[Pixels]:
    """The frames of the heads `vertices(0)` to `vertices(count - 1)` by what `prepare` gives.

    A batch that does not fit into the device's memory is halved; where not even one frame fits,
    or the device fails, `on_cpu` makes the rest, and `warn` is told once. At most two batches are
    held: one is made while the other is taken. Raises VividKeysError(cancelled) between batches.
    """
    made = _made(prepare, vertices, count, watch)
    done, reason = 0, ""
    worker = ThreadPoolExecutor(1, thread_name_prefix="device")
    try:
        pending = worker.submit(next, made, None)
        while (pictures := pending.result()) is not None:
            pending = worker.submit(next, made, None)
            for picture in pictures:
                done += 1
                yield picture
    except DeviceUnusableError as error:
        reason = str(error)
    finally:
        worker.shutdown(wait=True, cancel_futures=True)
        made.close()
    if reason:
        warn(f"{reason} From frame {done + 1} on the video was made on the CPU.")
        yield from frames_in_order(
            lambda frame: on_cpu(vertices(done + frame)), count - done, watch
        )


def _made(
    prepare: Callable[[], BatchRenderer],
    vertices: Callable[[int], Singles],
    count: int,
    watch: Watch,
) -> Generator[Pixels, None, None]:
    """Batches of pictures. Raises DeviceUnusableError."""
    renderer = attempted(prepare)
    if renderer is None:
        raise DeviceUnusableError(NO_MEMORY)
    batch, draw = renderer.batch, renderer.frames
    heads: deque[Future[Singles]] = deque()
    asked = done = 0
    worker = ThreadPoolExecutor(1, thread_name_prefix="heads")
    try:
        while done < count:
            watch.check()
            # The heads of the next batch are worked out while this one is drawn.
            while asked < min(done + 2 * batch, count):
                heads.append(worker.submit(vertices, asked))
                asked += 1
            wanted = min(batch, count - done)
            stack = np.stack([heads[number].result() for number in range(wanted)])
            pictures = attempted(partial(draw, stack))
            if pictures is None:
                if wanted == 1:
                    raise DeviceUnusableError(NO_MEMORY)
                batch = max(1, wanted // 2)
                continue
            for _ in range(wanted):
                heads.popleft()
            done += wanted
            yield pictures
    finally:
        worker.shutdown(wait=True, cancel_futures=True)


def attempted(work: Callable[[], Done]) -> Done | None:
    """What `work` gives, or None when the device's memory does not suffice.

    Raises DeviceUnusableError when it fails otherwise: a device may be too old for torch, or gone.
    """
    try:
        return work()
    except RuntimeError as error:
        if not out_of_memory(error):
            first = (str(error).splitlines() or [""])[0]
            raise DeviceUnusableError(
                f"The graphics device failed: {first.rstrip('.')}."
            ) from error
    # Only here, when the failed call holds nothing any more, can its memory be given back.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None


def out_of_memory(error: RuntimeError) -> bool:
    """Whether an error of torch says that a device's memory is full (Apple's has no class)."""
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in str(error).lower()
