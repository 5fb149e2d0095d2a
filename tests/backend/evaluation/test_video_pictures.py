# SPDX-License-Identifier: GPL-3.0-or-later
"""Likeness, sharpness and flicker on made-up pictures whose answers are known."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest

from backend.evaluation.video.flicker import flicker, skin_flicker
from backend.evaluation.video.pictures import (
    HIGHEST_PSNR,
    gradient_map,
    likeness,
    luminance,
    psnr,
    similarity_map,
)
from backend.evaluation.video.sharpness import cpbd, edge_widths, gradient_energy

WHOLE = np.ones((96, 128), np.bool_)


def noise(seed: int = 0, size: tuple[int, int] = (96, 128)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3)).astype(np.uint8)


def test_psnr_of_an_even_difference_is_the_known_one() -> None:
    one = np.full((96, 128, 3), 100, np.uint8)
    assert psnr(one, one + 5, WHOLE) == pytest.approx(20 * np.log10(255 / 5))
    assert psnr(one, one, WHOLE) == HIGHEST_PSNR


def test_what_lies_outside_the_region_does_not_count() -> None:
    one, region = noise(), np.zeros((96, 128), np.bool_)
    other = one.copy()
    other[:40] = 0
    region[60:] = True
    found = likeness(one, other, {"below": region, "all": WHOLE})
    assert found["below"].psnr == HIGHEST_PSNR
    assert found["below"].ssim == pytest.approx(1.0)
    assert found["below"].gradient == 0.0
    assert found["all"].psnr < 20 and found["all"].ssim < 0.8 and found["all"].gradient > 1


def test_ssim_of_a_change_of_contrast_is_the_formulas() -> None:
    """Equal means and structure: SSIM = (2k + c) / (1 + k² + c) with c = C2 / variance."""
    random = np.random.default_rng(3)
    texture = random.normal(0.0, 20.0, (200, 200))
    # The mean within each window is nearly that of the whole; the middle of the map is compared.
    one, other = (128 + texture).astype(np.float32), (128 + 0.5 * texture).astype(np.float32)
    wanted = (2 * 0.5 * 400 + 58.5225) / (400 * 1.25 + 58.5225)
    assert similarity_map(one, other)[20:-20, 20:-20].mean() == pytest.approx(wanted, abs=0.02)
    assert similarity_map(one, one) == pytest.approx(1.0)


def test_gradient_error_of_a_ramp_is_its_slope() -> None:
    ramp = np.tile(np.arange(128, dtype=np.float32) * 1.5, (96, 1))
    even = np.full((96, 128), 7.0, np.float32)
    # 1.5 across, none down, and the mean of both.
    assert gradient_map(ramp, even).mean() == pytest.approx(0.75)
    # A difference of brightness has no slope.
    assert gradient_map(ramp, ramp + 20).max() == pytest.approx(0.0, abs=1e-4)


def test_luminance_weighs_colours() -> None:
    assert luminance(np.array([[[255, 0, 0], [0, 255, 0]]], np.uint8))[0] == pytest.approx(
        [76.245, 149.685], abs=0.01
    )


def bars() -> np.ndarray:
    """Hard upright edges of high contrast, no two blocks alike."""
    picture = np.full((256, 256), 60, np.float32)
    for left in range(16, 256, 32):
        picture[:, left : left + 16] = 200
    return picture


def test_cpbd_falls_with_blur_from_one_to_zero() -> None:
    values = [cpbd(cv2.GaussianBlur(bars(), (0, 0), sigma)) for sigma in (0.3, 0.8, 1.2, 1.6, 2.5)]
    assert values[0] == 1.0 and values[-1] == 0.0
    assert all(a >= b for a, b in pairwise(values))


def test_only_the_edges_of_a_region_count() -> None:
    picture = bars()
    picture[:, :128] = cv2.GaussianBlur(picture, (0, 0), 2.5)[:, :128]
    left = np.zeros(picture.shape, np.bool_)
    left[:, :120] = True
    right = np.zeros_like(left)
    right[:, 136:] = True
    assert cpbd(picture, left) == 0.0 and cpbd(picture, right) == 1.0
    assert 0.2 < cpbd(picture) < 0.8


def test_cpbd_of_a_picture_with_all_kinds_of_edges_is_in_the_published_range() -> None:
    """Sharp photos have 0.4 to 0.9; with a blur of two pixels hardly an edge is left."""
    random = np.random.default_rng(2)
    picture = np.full((256, 256), 128.0, np.float32)
    for _ in range(120):
        x, y, radius = random.integers(0, 256, 3) * (1, 1, 0.12)
        shade = float(random.uniform(30, 220))
        cv2.circle(picture, (int(x), int(y)), int(radius) + 2, shade, -1, cv2.LINE_AA)
    picture = cv2.GaussianBlur(picture, (0, 0), 0.5)
    values = [cpbd(picture), *(cpbd(cv2.GaussianBlur(picture, (0, 0), s)) for s in (0.6, 1.0, 2.0))]
    assert all(a > b for a, b in pairwise(values))
    assert 0.4 < values[0] <= 1.0 and values[-1] < 0.05
    energy = [gradient_energy(cv2.GaussianBlur(picture, (0, 0), s)) for s in (0.5, 1.0, 2.0)]
    assert energy[0] > energy[1] > energy[2]


def test_an_edges_width_is_the_length_of_its_ramp() -> None:
    picture = np.full((64, 64), 50.0, np.float32)
    picture[:, 30:] = 200.0
    picture[:, 27:30] = (87.5, 125.0, 162.5)
    widths, low_contrast = edge_widths(picture)
    assert len(widths) and (widths == 4).all() and not low_contrast.any()
    faint = 100 + (picture - 50) * 0.3
    widths, low_contrast = edge_widths(faint * 1.0)
    assert not len(widths) or low_contrast.all()


def test_an_even_picture_has_no_sharpness() -> None:
    assert np.isnan(cpbd(np.full((128, 128), 90.0, np.float32)))


def test_a_still_video_and_one_that_brightens_evenly_do_not_flicker() -> None:
    picture = luminance(noise())
    assert flicker([picture] * 5, WHOLE) == 0.0
    assert flicker([picture + 2 * k for k in range(5)], WHOLE) == pytest.approx(0.0, abs=1e-4)


def test_noise_flickers_by_its_known_amount() -> None:
    random = np.random.default_rng(1)
    frames = [random.normal(100, 3, WHOLE.shape).astype(np.float32) for _ in range(20)]
    assert flicker(frames, WHOLE) == pytest.approx(3 * np.sqrt(6 * 2 / np.pi), rel=0.02)
    assert np.isnan(flicker(frames[:2], WHOLE))
    assert np.isnan(flicker(frames, np.zeros_like(WHOLE)))


def test_skin_that_moves_with_the_head_does_not_flicker() -> None:
    from backend.face.template import load_template

    template = load_template()
    face = np.stack(
        [
            template.vertices[:, 0] * 900 + 100,
            -template.vertices[:, 2] * 900 + 100,
            template.vertices[:, 1] * 900,
        ],
        axis=1,
    )
    random = np.random.default_rng(5)
    skin = cv2.GaussianBlur(random.normal(120, 60, (200, 200)).astype(np.float32), (0, 0), 4)
    picture = np.repeat(np.clip(skin * 1.0, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    frames, faces = [], []
    for shift in (0, 3, 1, 5, 2):  # whole pixels, jumping to and fro
        frames.append(np.roll(picture, shift, axis=1))
        faces.append(face + np.array((shift, 0, 0)))
    rigid = skin_flicker(frames, np.array(faces), template.rigidity)
    sliding = skin_flicker(frames, np.array([face] * 5), template.rigidity)
    assert rigid == pytest.approx(0.0, abs=0.05) and sliding > 1.0
