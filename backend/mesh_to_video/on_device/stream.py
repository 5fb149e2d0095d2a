# SPDX-License-Identifier: GPL-3.0-or-later
"""The frames of a video in order, from batches that a device renders, whatever its memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float32, UInt8

from backend.mesh_to_video.film.frame_stream import frames_in_order
from backend.watch import UNWATCHED, Watch

Done = TypeVar("Done")
Head = Float32[np.ndarray, "V 3"]
Picture = UInt8[np.ndarray, "H W C"]

NO_MEMORY = "The graphics device does not have enough memory for even one frame."


class DeviceUnusableError(Exception):
    """A device cannot render a video; the text is a sentence for the user that says why."""


@runtime_checkable
class BatchRenderer(Protocol):
    """Renders a batch of heads; may raise torch's errors."""

    batch: int

    def frames(self, vertices: Float32[np.ndarray, "B V 3"]) -> UInt8[np.ndarray, "B H W C"]: ...


def frames_in_batches(
    prepare: Callable[[], BatchRenderer],
    vertices: Callable[[int], Head],
    count: int,
    *,
    on_cpu: Callable[[Head], Picture],
    warn: Callable[[str], None],
    watch: Watch = UNWATCHED,
) -> Iterator[Picture]:
    """The frames of the heads `vertices(0)` to `vertices(count - 1)`.

    `prepare` makes the renderer. A batch that does not fit into the device's memory is halved; if
    not even one frame fits, or the device fails, `on_cpu` renders the rest, and `warn` is called
    once. At most two batches are held: one is rendered while the other is taken. Raises
    VividKeysError(cancelled) between batches.
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
        warn(f"{reason} From frame {done + 1} on, the video was rendered on the CPU.")
        yield from frames_in_order(
            lambda frame: on_cpu(vertices(done + frame)), count - done, watch
        )


def _made(
    prepare: Callable[[], BatchRenderer],
    vertices: Callable[[int], Head],
    count: int,
    watch: Watch,
) -> Generator[UInt8[np.ndarray, "B H W C"], None, None]:
    """Batches of pictures. Raises DeviceUnusableError."""
    renderer = attempted(prepare)
    if renderer is None:
        raise DeviceUnusableError(NO_MEMORY)
    batch, draw = renderer.batch, renderer.frames
    heads: deque[Future[Head]] = deque()
    asked = done = 0
    worker = ThreadPoolExecutor(1, thread_name_prefix="heads")
    try:
        while done < count:
            watch.check()
            # The heads of the next batch are computed while this one is drawn.
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
    """The result of `work`, or None if the device runs out of memory.

    Raises DeviceUnusableError for other failures: a device may be too old for torch, or lost.
    """
    try:
        return work()
    except RuntimeError as error:
        if not out_of_memory(error):
            first = (str(error).splitlines() or [""])[0]
            raise DeviceUnusableError(
                f"The graphics device failed: {first.rstrip('.')}."
            ) from error
    # Only here, outside the handler, is the failed call's memory no longer referenced.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None


def out_of_memory(error: RuntimeError) -> bool:
    """Whether a torch error means that a device is out of memory (Apple's has no class)."""
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in str(error).lower()
