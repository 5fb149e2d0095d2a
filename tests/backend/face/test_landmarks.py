# SPDX-License-Identifier: GPL-3.0-or-later
"""Which face is found, and the error when there is none."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from backend.face.landmarks import find_face
from backend.watch import Watch
from shared.errors import ErrorKind, VividKeysError
from shared.landmarks import (
    LEFT_IRIS_CENTRE,
    LIP_CORNERS,
    NOSE_TIP,
    OUTER_EYE_CORNERS,
    RIGHT_IRIS_CENTRE,
)


def resized(pixels: np.ndarray, height: int) -> np.ndarray:
    width = round(pixels.shape[1] * height / pixels.shape[0])
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))


def pasted(canvas: np.ndarray, piece: np.ndarray, left: int, top: int) -> np.ndarray:
    canvas = canvas.copy()
    canvas[top : top + piece.shape[0], left : left + piece.shape[1]] = piece
    return canvas


def test_the_portrait_is_found_where_it_is(portrait_pixels):
    face = find_face(portrait_pixels)
    assert face.landmarks.shape == (478, 3)
    assert face.warnings == ()
    # The eyes of the portrait, located by hand.
    assert np.abs(face.landmarks[RIGHT_IRIS_CENTRE, :2] - (255, 313)).max() < 12
    assert np.abs(face.landmarks[LEFT_IRIS_CENTRE, :2] - (383, 313)).max() < 12


def test_of_several_faces_the_largest_is_taken_and_it_is_said(portrait_pixels):
    canvas = np.full((700, 1200, 3), 200, np.uint8)
    canvas = pasted(canvas, resized(portrait_pixels, 380), 60, 200)
    canvas = pasted(canvas, resized(portrait_pixels, 660), 600, 20)
    face = find_face(canvas)
    assert any("2 faces" in sentence for sentence in face.warnings)
    assert face.landmarks[:468, 0].min() > 600


def test_a_small_face_in_a_large_picture_is_found_in_a_piece_of_it(portrait_pixels):
    canvas = np.full((1800, 1800, 3), 180, np.uint8)
    canvas = pasted(canvas, resized(portrait_pixels, 240), 1250, 1300)
    face = find_face(canvas)
    low, high = face.landmarks[:468, :2].min(axis=0), face.landmarks[:468, :2].max(axis=0)
    assert (low > (1250, 1300)).all() and (high < (1450, 1540)).all()


def test_a_face_that_fills_the_picture_is_found(portrait_pixels):
    face = find_face(portrait_pixels[150:560, 150:490])
    assert abs(face.landmarks[NOSE_TIP, 0] - 170) < 25
    assert (face.landmarks[list(OUTER_EYE_CORNERS), 1] < face.landmarks[list(LIP_CORNERS), 1]).all()


def test_a_dim_photo_still_gives_its_face(portrait_pixels):
    assert find_face((portrait_pixels * 0.12).astype(np.uint8)).landmarks.shape == (478, 3)


@pytest.mark.parametrize("kind", ["flat", "noise", "stripes"])
def test_no_face_is_an_error_of_its_own(kind):
    random = np.random.default_rng(3)
    pictures = {
        "flat": np.full((300, 400, 3), 120, np.uint8),
        "noise": random.integers(0, 255, (300, 400, 3), dtype=np.uint8),
        "stripes": np.tile((np.arange(400) // 20 % 2 * 255)[None, :, None], (300, 1, 3)),
    }
    with pytest.raises(VividKeysError) as caught:
        find_face(pictures[kind].astype(np.uint8))
    assert caught.value.kind is ErrorKind.NO_FACE
    assert caught.value.next_step


def test_a_face_too_small_to_measure_is_refused(portrait_pixels):
    canvas = np.full((160, 160, 3), 180, np.uint8)
    canvas = pasted(canvas, resized(portrait_pixels, 76), 50, 40)
    with pytest.raises(VividKeysError) as caught:
        find_face(canvas)
    assert caught.value.kind in (ErrorKind.BAD_IMAGE, ErrorKind.NO_FACE)


def test_a_cancelled_search_stops(portrait_pixels):
    with pytest.raises(VividKeysError) as caught:
        find_face(portrait_pixels, Watch(cancelled=lambda: True))
    assert caught.value.kind is ErrorKind.CANCELLED


def test_the_models_start_without_chatter(portrait_path):
    code = f"from backend.face import reconstruct; reconstruct({str(portrait_path)!r})"
    repository = portrait_path.parents[2]
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, capture_output=True, text=True
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
