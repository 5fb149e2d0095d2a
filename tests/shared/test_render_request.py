# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be asked of a film, and how a Take travels with it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shared.errors import ErrorKind, VividKeysError
from shared.messages import Submit, new_job_id
from shared.protocol import decode_from_client, encode
from shared.requests import (
    FirstPicture,
    RenderRequest,
    as_params,
    first_picture,
    from_params,
    take_arrays,
    take_of,
)
from shared.take import Take

SHA = "0123456789abcdef" * 4


def take() -> Take:
    random = np.random.default_rng(0)
    return Take(
        fps=60.0,
        weights=random.random((7, 52)).astype(np.float32),
        head_rotation=random.normal(0, 0.1, (7, 3)).astype(np.float32),
        head_translation=np.zeros((7, 3), np.float32),
        neutral=random.normal(0, 0.1, (468, 3)).astype(np.float32),
        triangles=np.array([[0, 1, 2]], np.int32),
        offset_basis=random.normal(0, 0.1, (2, 468, 3)).astype(np.float32),
        offset_weights=random.normal(0, 1, (7, 2)).astype(np.float32),
        meta={"voice": "ß"},
    )


def test_a_request_arrives_as_it_was_made() -> None:
    request = RenderRequest(
        SHA, "Änne.png", SHA, "a.wav", "f" * 32, 720, 30 / 1.001, "alpha", "mov", True, True
    )
    assert from_params(RenderRequest, as_params(request)) == request
    assert from_params(RenderRequest, {"image": SHA}) == RenderRequest(SHA)
    assert RenderRequest(SHA).size == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("image", ""),
        ("audio", "x"),
        ("image_name", "../a.jpg"),
        ("take_job", "x"),
        ("size", 63),
        ("size", 4097),
        ("size", True),
        ("size", 0.0),
        ("size", -1),
        ("fps", 0.5),
        ("fps", 121),
        ("fps", float("nan")),
        ("background", "red"),
        ("container", "avi"),
        ("mark", 1),
        ("preview", "yes"),
        ("codec", "h264"),
    ],
)
def test_what_cannot_be_made_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(VividKeysError) as caught:
        from_params(RenderRequest, {"image": SHA, name: value})
    assert caught.value.kind is ErrorKind.BAD_REQUEST and f"'{name}'" in caught.value.sentence


def test_a_take_travels_in_the_arrays_of_a_message() -> None:
    sent = take()
    submit = Submit(new_job_id(), "render", {"image": SHA}, "", take_arrays(sent))
    frames = [bytes(frame) for frame in encode(submit)]
    arrived = decode_from_client(frames)
    assert isinstance(arrived, Submit)
    again = take_of(arrived.arrays)
    assert again is not None and again.meta == sent.meta and again.fps == 60.0
    for name in ("weights", "head_rotation", "neutral", "offset_basis", "offset_weights"):
        np.testing.assert_array_equal(getattr(again, name), getattr(sent, name))
    assert take_of({}) is None


def test_strange_arrays_are_no_take() -> None:
    arrays = take_arrays(take())
    for wrong in (
        {**arrays, "other": np.zeros(1, np.float32)},
        {name: array for name, array in arrays.items() if name != "take.weights"},
        {**arrays, "take.weights": np.zeros((7, 51), np.float32)},
    ):
        with pytest.raises(VividKeysError) as caught:
            take_of(wrong)
        assert caught.value.kind is ErrorKind.BAD_ARRAY


def test_a_first_picture_has_a_size_that_can_be_shown() -> None:
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    np.testing.assert_array_equal(first_picture(FirstPicture(pixels).arrays()).pixels, pixels)
    for shape in ((2, 3), (2, 3, 4), (0, 3, 3), (257, 3, 3), (3, 257, 3)):
        with pytest.raises(VividKeysError):
            first_picture({"picture": np.zeros(shape, np.uint8)})
    for wrong in ({}, {"picture": np.zeros((2, 3, 3), np.float32)}):
        with pytest.raises(VividKeysError):
            first_picture(wrong)
