# SPDX-License-Identifier: GPL-3.0-or-later
"""Batches on a device whose memory is short, that fails, or that is not there."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from backend.mesh_to_video.on_device import choice, renderer, stream
from backend.mesh_to_video.settings import GEOMETRY_ONLY, RenderSettings
from backend.mesh_to_video.video import frames_of_photo, render_video
from backend.samples import PORTRAIT
from backend.watch import UNWATCHED, Watch
from shared.errors import ErrorKind, VividKeysError
from shared.take import Take

Heads = NDArray[np.float32]
Pixels = NDArray[np.uint8]


class Card:
    """A device that holds `room` frames at a time, from frame `fails_at` on none."""

    def __init__(self, room: int = 100, batch: int = 8, fails_at: int = 10**9) -> None:
        self.batch, self.room, self.fails_at = batch, room, fails_at
        self.sizes: list[int] = []

    def frames(self, vertices: Heads) -> Pixels:
        self.sizes.append(len(vertices))
        if len(vertices) > self.room or vertices[-1, 0, 0] >= self.fails_at:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")
        return vertices[:, :1, :1].astype(np.uint8)


def head(frame: int) -> Heads:
    return np.full((4, 3), frame, np.float32)


def on_cpu(vertices: Heads) -> Pixels:
    return np.array([[vertices[0, 0] + 100]], np.uint8)


def taken(card: Card, count: int = 20, watch: Watch = UNWATCHED) -> tuple[list[int], list[str]]:
    said: list[str] = []
    frames = stream.frames_in_batches(
        lambda: card, head, count, on_cpu=on_cpu, warn=said.append, watch=watch
    )
    return [int(frame[0, 0]) for frame in frames], said


def test_batches_come_in_order_and_whole() -> None:
    card = Card(batch=8)
    assert taken(card) == (list(range(20)), [])
    assert card.sizes == [8, 8, 4]
    assert taken(Card(), count=0) == ([], [])


def test_a_batch_that_does_not_fit_is_halved_and_stays_so() -> None:
    card = Card(room=3, batch=8)
    assert taken(card) == (list(range(20)), [])
    assert card.sizes == [8, 4, *[2] * 10]


def test_the_cpu_goes_on_where_not_one_frame_fits_which_is_said_once() -> None:
    frames, said = taken(Card(batch=4, fails_at=6))
    assert frames == [0, 1, 2, 3, 4, 5, *range(106, 120)]
    assert said == [f"{stream.NO_MEMORY} From frame 7 on, the video was rendered on the CPU."]


def test_a_device_that_fails_leaves_the_video_to_the_cpu() -> None:
    def no_device() -> Card:
        raise RuntimeError("CUDA error: no kernel image is available\nCUDA kernel errors might")

    said: list[str] = []
    frames = stream.frames_in_batches(no_device, head, 3, on_cpu=on_cpu, warn=said.append)
    assert [int(frame[0, 0]) for frame in frames] == [100, 101, 102]
    assert len(said) == 1 and "no kernel image is available. From frame 1 on" in said[0]

    def full() -> Card:
        raise RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)")

    assert stream.attempted(full) is None


def test_errors_that_are_not_the_devices_are_passed_on() -> None:
    def damaged() -> Card:
        raise VividKeysError(ErrorKind.BAD_FILE, "The weights are damaged.")

    with pytest.raises(VividKeysError, match="damaged"):
        next(stream.frames_in_batches(damaged, head, 3, on_cpu=on_cpu, warn=print))


def test_cancel_between_batches_and_close_end_the_threads() -> None:
    before = set(threading.enumerate())
    card = Card(batch=4)
    with pytest.raises(VividKeysError) as raised:
        taken(card, 400, Watch(cancelled=lambda: len(card.sizes) >= 3))
    assert raised.value.kind is ErrorKind.CANCELLED and len(card.sizes) == 3
    frames = stream.frames_in_batches(lambda: card, head, 400, on_cpu=on_cpu, warn=print)
    next(frames)
    frames.close()  # type: ignore[attr-defined]
    assert len(card.sizes) <= 6  # no batch was made long before it was wanted
    assert not set(threading.enumerate()) - before


def broken() -> int:
    raise RuntimeError("CUDA error: initialization error")


def test_which_device_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choice.chosen_device("auto") is None and choice.chosen_device("cpu") is None
    with pytest.raises(VividKeysError) as raised:
        choice.chosen_device("cuda:0")
    assert raised.value.kind is ErrorKind.BAD_REQUEST and "'cuda:0'" in raised.value.sentence
    assert raised.value.next_step == "Choose auto, cpu."
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    # A GPU that does not start is found out later, where the CPU can take over.
    monkeypatch.setattr(torch.cuda, "current_device", broken)
    assert choice.chosen_device("auto") == torch.device("cuda:0")
    assert choice.chosen_device("cuda:1") == torch.device("cuda:1")
    assert choice.chosen_device("cuda") == torch.device("cuda")
    assert choice.chosen_device("cpu") is None
    for absent in ("cuda:2", "mps"):
        with pytest.raises(VividKeysError, match=absent) as raised:
            choice.chosen_device(absent)
        assert raised.value.next_step == "Choose auto, cpu or cuda:0 or cuda:1."


def test_a_video_on_a_device_that_is_not_there(
    tmp_path: Path, small_take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(VividKeysError) as raised:
        render_video(
            PORTRAIT, small_take, tmp_path / "film.mp4", settings=RenderSettings(device="cuda:7")
        )
    assert raised.value.kind is ErrorKind.BAD_REQUEST and not list(tmp_path.iterdir())


def test_a_video_whose_device_runs_out_of_memory_says_so(
    tmp_path: Path, small_take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way, with torch on the CPU in the place of a GPU."""
    monkeypatch.setattr(choice, "chosen_device", lambda name: torch.device("cpu"))
    real, sizes = renderer.DeviceRenderer.frames, list[int]()

    def frames(self: renderer.DeviceRenderer, vertices: Heads) -> Pixels:
        sizes.append(len(vertices))
        if len(vertices) > 2 or len(sizes) > 6:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return real(self, vertices)

    monkeypatch.setattr(renderer.DeviceRenderer, "frames", frames)
    settings = RenderSettings(96, fps=5.0, parts=GEOMETRY_ONLY)
    report = render_video(PORTRAIT, small_take, tmp_path / "frames.png", settings=settings)
    # Halved from the eleven frames there are to two, three batches, then one alone and none.
    assert sizes == [11, 5, 2, 2, 2, 2, 2, 1]
    said = [warning for warning in report.warnings if stream.NO_MEMORY in warning]
    assert said == [f"{stream.NO_MEMORY} From frame 9 on, the video was rendered on the CPU."]
    assert report.frames == 11

    monkeypatch.setattr(choice, "chosen_device", lambda name: None)
    expected = frames_of_photo(PORTRAIT, small_take, settings, UNWATCHED)
    from PIL import Image

    for path, picture in zip(sorted(tmp_path.rglob("*.png")), expected.frames, strict=True):
        assert np.abs(np.asarray(Image.open(path), int) - picture).mean() < 0.5
