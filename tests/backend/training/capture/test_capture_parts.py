# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of `capture` on made-up landmarks, whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from backend.face.arkit_basis import landmark_basis
from backend.face.from_photo import template_neutral
from backend.face.template import load_template
from backend.training.capture.measure import lid_opening, lip_gap, look_weights
from backend.training.capture.neutral import neutral_from_film
from backend.training.capture.offsets import lip_region, offset_fields, weights_on
from backend.training.capture.pose import fit_heads, head_motion_of, smooth, to_axes
from backend.training.capture.solve import bounded_least_squares, solve_weights
from backend.training.capture.steady import steady
from backend.training.capture.sync import best_lag
from backend.training.capture.track import fill_gaps
from shared.arkit import ARKIT_NAMES, INDEX

FPS = 25.0
SPEECH = [
    "jawOpen",
    "mouthPucker",
    "mouthFunnel",
    "mouthSmileLeft",
    "mouthSmileRight",
    "mouthUpperUpLeft",
    "mouthUpperUpRight",
    "eyeBlinkLeft",
    "eyeBlinkRight",
    "browInnerUp",
    "browDownLeft",
    "browDownRight",
]


def slow_curves(random: np.random.Generator, frames: int, count: int) -> np.ndarray:
    """Curves [T,count] in 0..1 that move at the speed of a face and rest at 0 in between."""
    time = np.arange(frames) / FPS
    rate = random.uniform(0.4, 1.6, count)
    phase = random.uniform(0, 2 * np.pi, count)
    return 0.8 * np.clip(np.sin(2 * np.pi * rate * time[:, None] + phase), 0, None)


def performance(frames: int = 100, seed: int = 1) -> np.ndarray:
    weights = np.zeros((frames, 52))
    curves = slow_curves(np.random.default_rng(seed), frames, len(SPEECH))
    for name, curve in zip(SPEECH, curves.T, strict=True):
        weights[:, INDEX[name]] = curve
    for stem in ("eyeBlink", "mouthSmile", "mouthUpperUp", "browDown"):
        weights[:, INDEX[f"{stem}Right"]] = weights[:, INDEX[f"{stem}Left"]]
    return weights


@pytest.fixture(scope="module")
def face() -> tuple[np.ndarray, np.ndarray]:
    vertices = template_neutral()
    return vertices, landmark_basis(vertices)


def test_known_weights_come_back_from_noisy_landmarks(face):
    _, basis = face
    truth = performance()
    noise = 0.0003 * np.random.default_rng(2).standard_normal((len(truth), 468, 3))
    moved = np.tensordot(truth, basis, axes=1) + noise
    found = solve_weights(basis, moved, np.zeros_like(truth), FPS)
    error = np.abs(found - truth)
    assert error[:, [INDEX[name] for name in SPEECH]].mean() < 0.05
    for name in ("jawOpen", "mouthPucker", "eyeBlinkLeft"):
        assert np.corrcoef(found[:, INDEX[name]], truth[:, INDEX[name]])[0, 1] > 0.98, name
    unused = [k for k, name in enumerate(ARKIT_NAMES) if name not in SPEECH]
    assert found[:, unused].mean() < 0.03
    assert found.min() >= 0 and found.max() <= 1


def test_a_jaw_behind_closed_lips_is_seen_as_such(face):
    _, basis = face
    truth = np.zeros((30, 52))
    truth[:, INDEX["jawOpen"]] = truth[:, INDEX["mouthClose"]] = np.linspace(0, 0.6, 30)
    found = solve_weights(basis, np.tensordot(truth, basis, axes=1), np.zeros_like(truth), FPS)
    assert (found[:, INDEX["mouthClose"]] <= found[:, INDEX["jawOpen"]] + 1e-12).all()
    assert found[-1, INDEX["mouthClose"]] > 0.4
    assert np.abs(lip_gap(np.tensordot(found, basis, axes=1))).max() < 0.001


def test_the_descent_reaches_the_exact_minimum():
    """Against the solution of each frame by scipy, where frames are not tied."""
    from scipy.optimize import lsq_linear

    random = np.random.default_rng(5)
    shapes = random.standard_normal((30, 6))
    seen = random.standard_normal((4, 30))
    found = bounded_least_squares(shapes.T @ shapes, seen @ shapes, np.zeros(6), np.zeros(6))
    for frame in range(4):
        exact = lsq_linear(shapes, seen[frame], bounds=(0, 1), tol=1e-12).x
        assert np.abs(found[frame] - exact).max() < 2e-3


def test_shared_columns_do_not_pass_one_together():
    gram = np.eye(2)
    found = bounded_least_squares(gram, np.full((3, 2), 5.0), np.zeros(2), np.zeros(2), (0, 1))
    assert (found.sum(axis=1) <= 1 + 1e-12).all() and found.max() <= 1


def turned(points: np.ndarray, angles: np.ndarray, place: np.ndarray, scale: float) -> np.ndarray:
    """A film's landmarks [T,N,3] in pixels of a 640 by 480 picture."""
    frames = []
    for (x, y, z), shift in zip(angles, place, strict=True):
        cx, sx, cy, sy, cz, sz = (f(a) for a in (x, y, z) for f in (np.cos, np.sin))
        about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
        about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
        there = (points @ (about_z @ about_y @ about_x).T + shift) * scale
        frames.append(np.stack([320 + there[:, 0], 240 - there[:, 2], there[:, 1]], axis=1))
    return np.stack(frames)


def whole(vertices: np.ndarray) -> np.ndarray:
    return np.concatenate([vertices, load_template().irises])


def test_a_known_head_motion_comes_back_whatever_the_mouth_does(face):
    vertices, basis = face
    frames = 60
    time = np.arange(frames) / FPS
    angles = 0.2 * np.stack([np.sin(time), 0.5 * np.sin(1.3 * time), np.sin(0.7 * time)], axis=1)
    place = 0.03 * np.stack([np.sin(time), 0 * time, np.cos(time)], axis=1)
    moved = vertices + np.tensordot(performance(frames), basis, axes=1)
    film = np.stack(
        [
            turned(whole(shape), angles[k : k + 1], place[k : k + 1], 2000.0)[0]
            for k, shape in enumerate(moved)
        ]
    )
    fits = fit_heads(to_axes(film), whole(vertices))
    rotation, translation = head_motion_of(fits, (640, 480), FPS)
    assert np.degrees(np.abs(rotation - (angles - angles[0]))).max() < 1.5
    assert np.abs(translation[:, [0, 2]] - (place - place[0])[:, [0, 2]]).max() < 0.002
    assert not rotation[0].any() and not translation[0].any()
    # What the pose leaves is the expression alone.
    assert np.median(np.linalg.norm(fits.aligned[:, :468] - moved, axis=2)) < 0.0006


def test_coming_nearer_is_motion_towards_the_camera(face):
    vertices, _ = face
    film = np.concatenate(
        [turned(whole(vertices), np.zeros((1, 3)), np.zeros((1, 3)), 1500.0 + 5 * k)
         for k in range(40)]
    )  # fmt: skip
    _, translation = head_motion_of(fit_heads(to_axes(film), whole(vertices)), (640, 480), FPS)
    assert translation[-1, 1] < -0.03
    assert np.abs(translation[:, [0, 2]]).max() < 0.001


def test_the_rest_shape_is_found_between_words(face):
    vertices, basis = face
    wide = vertices * (1.06, 1.0, 0.97)
    frames = 90
    truth = performance(frames)
    calm = np.arange(frames) > 70
    truth[calm] = 0.0
    basis = landmark_basis(wide)
    shapes = np.concatenate(
        [
            wide + np.tensordot(truth, basis, axes=1),
            np.tile(load_template().irises, (frames, 1, 1)),
        ],
        axis=1,
    )
    rest = neutral_from_film(1000.0 * shapes, np.ones(frames, np.bool_))
    assert rest.calm.sum() >= 6 and calm[rest.calm].mean() > 0.8
    assert np.abs(lip_gap(rest.vertices[None])).max() < 1e-6
    fitted = fit_heads(rest.vertices[None], wide, load_template().rigidity[:468]).aligned[0]
    assert np.linalg.norm(fitted - wide, axis=1).max() < 0.001


def test_short_gaps_are_filled_and_long_ones_are_marked():
    times = np.arange(40) / 25
    truth = np.stack([times, 2 * times, 0 * times], axis=1)[:, None]
    seen = np.ones(40, np.bool_)
    seen[[0, 10, 11, 39]] = False
    seen[20:32] = False
    broken = np.where(seen[:, None, None], truth, np.nan)
    filled, valid = fill_gaps(times, broken, seen)
    assert np.isfinite(filled).all()
    assert np.allclose(filled[1:39], truth[1:39])
    assert valid[[9, 10, 11, 12]].all()
    assert not valid[20:32].any() and not valid[0] and not valid[39]
    assert valid.sum() == 40 - 12 - 2


def test_smoothing_keeps_a_closure_and_removes_shaking(face):
    _, basis = face
    fps, frames = 25.0, 75
    weights = np.zeros((frames, 52))
    weights[:, INDEX["jawOpen"]] = 0.4
    weights[40:42, INDEX["jawOpen"]] = 0.0  # 80 ms: a p between two vowels
    clean = np.tensordot(weights, basis, axes=1)
    noise = 0.0004 * np.random.default_rng(0).standard_normal(clean.shape)
    calm = steady(clean + noise, fps)
    assert lip_gap(calm)[40:42].max() < 0.1 * lip_gap(clean).max()
    brow = [105, 334, 10, 151]
    shaking = np.abs((calm - clean)[:, brow]).mean()
    assert shaking < 0.75 * np.abs(noise[:, brow]).mean()


def test_smoothing_a_short_film_changes_nothing():
    curves = np.arange(6.0).reshape(2, 3)
    assert np.array_equal(smooth(curves, 25.0, 0.3), curves)


def test_offset_fields_explain_what_is_left_over():
    random = np.random.default_rng(4)
    region = lip_region()
    shapes = 0.001 * random.standard_normal((3, 468, 3)) * region[:, None] * (1, 0, 1)
    curves = random.standard_normal((50, 3))
    residual = np.tensordot(curves, shapes, axes=1)
    fields, weights = offset_fields(residual, np.ones(50, np.bool_))
    assert len(fields) <= 3 and np.abs(fields[:, region == 0]).max() < 1e-15
    inner = region > 0.99
    left = (residual - np.tensordot(weights, fields, axes=1))[:, inner]
    assert np.linalg.norm(left) < 0.35 * np.linalg.norm(residual[:, inner])
    assert 0.8 < np.sqrt((weights**2).mean(axis=0)).min() < 1.2
    known = weights_on(shapes, residual)
    assert np.corrcoef(known.ravel(), curves.ravel())[0, 1] > 0.99


def test_nothing_left_over_needs_no_fields():
    fields, weights = offset_fields(np.zeros((20, 468, 3)), np.ones(20, np.bool_))
    assert fields.shape == (0, 468, 3) and weights.shape == (20, 0)


def test_gaze_follows_the_irises_and_blinks_do_not_turn_it(face):
    vertices, basis = face
    points = np.tile(whole(vertices), (50, 1, 1))
    points[20:30, 468:, 0] += 0.003  # both irises to the character's left
    blink = np.zeros((50, 52))
    blink[40:44, [INDEX["eyeBlinkLeft"], INDEX["eyeBlinkRight"]]] = 1.0
    points[:, :468] += np.tensordot(blink, basis, axes=1)
    points[40:44, 468:, 2] -= 0.004  # what trackers do when the lid covers the eye
    looks = look_weights(points, np.ones(50, np.bool_))
    assert looks[25, INDEX["eyeLookOutLeft"]] > 0.2 and looks[25, INDEX["eyeLookInRight"]] > 0.2
    assert looks[25, INDEX["eyeLookInLeft"]] == 0.0
    assert looks[40:44].max() < 0.05 and looks[:15].max() < 0.05
    assert lid_opening(points, "Left")[41] < 0.5 * lid_opening(points, "Left")[0]


@pytest.mark.parametrize("late", [-12, 0, 7])
def test_a_known_offset_between_picture_and_sound_is_found(late):
    random = np.random.default_rng(8)
    heard = np.convolve(random.standard_normal(400), np.hanning(20), mode="same")
    seen = np.roll(heard, late) + 0.1 * random.standard_normal(400)
    offset, peak = best_lag(seen, heard, np.ones(400, np.bool_))
    assert abs(offset - late / 100) < 0.006
    assert peak > 0.9
