# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames from the photo and the mesh alone: what moves, what stays, and what is behind the lips."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from backend.face.head.parts import PART_NAMES
from backend.face.template import load_template
from backend.mesh_to_video.frame.lip_passage import passage_of
from backend.mesh_to_video.frame.performance import (
    LARGEST_TURN,
    LARGEST_WHOLE,
    kept_weights,
    possible_turn,
    softly_limited,
    take_performance,
    tracked_performance,
)
from backend.mesh_to_video.frame.photo_warp import PhotoWarp
from backend.mesh_to_video.frame.portrait import Portrait, portrait_from_photo
from backend.mesh_to_video.frame.surroundings import Surroundings
from backend.mesh_to_video.frame.view import View
from backend.mesh_to_video.frame_renderer import GREEN, FrameRenderer
from backend.mesh_to_video.networks.driven_frame import FaceCrop
from backend.mesh_to_video.settings import GEOMETRY_ONLY, PLAIN_WARP, RenderSettings
from backend.samples import PORTRAIT
from shared.arkit import ARKIT_NAMES, INDEX
from shared.landmarks import (
    CHIN,
    FOREHEAD,
    INNER_LIP_LOWER,
    INNER_LIP_UPPER,
    LIP_EDGES,
    LOWER_LIP_EDGE,
    NOSE_TIP,
    UPPER_LIP_EDGE,
)
from shared.take import Take

SIZE = 288
SETTINGS = RenderSettings(size=SIZE, parts=GEOMETRY_ONLY)


@pytest.fixture(scope="module")
def portrait() -> Portrait:
    return portrait_from_photo(PORTRAIT)


@pytest.fixture(scope="module")
def renderer(portrait: Portrait) -> FrameRenderer:
    return FrameRenderer(portrait, SETTINGS)


def take_of(portrait: Portrait, *poses: dict[str, float], yaw: float = 0.0) -> Take:
    weights = np.zeros((len(poses), len(ARKIT_NAMES)), np.float32)
    for row, pose in enumerate(poses):
        for name, value in pose.items():
            weights[row, INDEX[name]] = value
    turn = np.zeros((len(poses), 3), np.float32)
    turn[:, 2] = np.radians(yaw)
    return Take(
        25.0, weights, turn, np.zeros_like(turn),
        portrait.neutral.vertices.astype(np.float32), load_template().triangles,
    )  # fmt: skip


def driven(portrait: Portrait, pose: dict[str, float], yaw: float = 0.0) -> np.ndarray:
    return take_performance(portrait, take_of(portrait, pose, yaw=yaw), 25.0).vertices(0)


def warp_of(portrait: Portrait) -> PhotoWarp:
    return PhotoWarp(portrait, portrait.crop, Surroundings(portrait), GEOMETRY_ONLY)


def test_an_unmoved_head_gives_the_photo(portrait: Portrait, renderer: FrameRenderer) -> None:
    frame = renderer.frame(portrait.source).astype(int)
    photo = View(0.0, 0.0, SIZE / 768, *renderer.size).cut(portrait.pixels).astype(int)
    away = np.abs(frame - photo)
    assert away.mean() < 0.2
    assert np.percentile(away, 99.5) <= 4


def test_a_landmark_comes_from_its_place_in_the_photo(portrait: Portrait) -> None:
    vertices = driven(portrait, {"jawOpen": 0.4, "mouthPucker": 0.3}, yaw=8)
    warp = warp_of(portrait)
    motion = warp.motion.driven(vertices)
    now, before = warp.view.points(vertices)[:468], warp.view.points(portrait.source)[:468]
    # Well within the face, where the seam to its surroundings has ended and nothing is hidden.
    for landmark in (4, 6, 9, 50, 280, 205, 425, 199, 151, 117, 346):
        column, row = int(now[landmark, 0]), int(now[landmark, 1])
        off = now[landmark, :2] - (column + 0.5, row + 0.5)
        found = np.array([motion.from_x[row, column], motion.from_y[row, column]]) + off
        assert np.linalg.norm(found - before[landmark, :2]) < 1.2, landmark


def test_the_background_and_the_shoulders_stay(portrait: Portrait, renderer: FrameRenderer) -> None:
    turned = renderer.frame(driven(portrait, {"jawOpen": 0.3}, yaw=15)).astype(int)
    still = renderer.frame(portrait.source).astype(int)
    scale = SIZE / 768
    person = cv2.resize(portrait.person, renderer.size)
    near = cv2.dilate(person, np.ones((41, 41)))
    assert np.abs(turned - still)[near < 0.02].max() <= 1
    chin = portrait.landmarks[CHIN, 1] * scale
    collar = round(chin + 0.55 * portrait.face_height * scale)
    assert np.abs(turned - still)[collar:].max() <= 1
    top = round((portrait.landmarks[FOREHEAD, 1] - 0.1 * portrait.face_height) * scale)
    assert np.abs(turned - still)[:top].max() > 20, "the hair did not follow"


def test_hair_moves_as_far_as_the_skull(portrait: Portrait) -> None:
    around = Surroundings(portrait)
    vertices = portrait.source + np.array((5.0, -3.0, 0.0), np.float32)
    moved = around.displacement(vertices)
    left, top, right, bottom = around.box
    size = len(moved)

    def at(x: float, y: float) -> np.ndarray:
        column = round((x - left) / (right - left) * (size - 1))
        row = round((y - top) / (bottom - top) * (size - 1))
        return moved[row, column]

    middle = portrait.landmarks[FOREHEAD, 0]
    crown = portrait.landmarks[FOREHEAD, 1] - 0.2 * portrait.face_height
    assert at(middle, crown) == pytest.approx((5.0, -3.0), abs=0.05)
    chest = portrait.landmarks[CHIN, 1] + 0.6 * portrait.face_height
    assert at(middle, chest) == pytest.approx((0.0, 0.0), abs=1e-4)
    assert at(left, crown) == pytest.approx((0.0, 0.0), abs=1e-4)


def test_closed_lips_show_nothing_and_open_ones_only_between_them(portrait: Portrait) -> None:
    warp = warp_of(portrait)
    assert warp.draw(driven(portrait, {})).mouth is None
    vertices = driven(portrait, {"jawOpen": 0.5})
    mouth = warp.draw(vertices).mouth
    assert mouth is not None and mouth.cover.max() > 0.99
    ring = [*INNER_LIP_UPPER, *INNER_LIP_LOWER[::-1]]
    points = warp.view.points(vertices)[ring, :2] - (mouth.left, mouth.top)
    inside = np.zeros(mouth.cover.shape, np.uint8)
    cv2.fillPoly(inside, [np.round(points).astype(np.int32)], 1)
    outside = cv2.dilate(inside, np.ones((5, 5), np.uint8)) == 0
    assert mouth.cover[outside].max() < 0.1


def test_upper_teeth_belong_to_the_skull_and_lower_ones_to_the_jaw(portrait: Portrait) -> None:
    closed, opened = driven(portrait, {}), driven(portrait, {"jawOpen": 0.6})
    part = portrait.rig.vertex_part
    upper = part == PART_NAMES.index("upper_teeth")
    lower = part == PART_NAMES.index("lower_teeth")
    assert np.abs(opened - closed)[upper].max() < 1e-3
    assert (opened - closed)[lower, 1].min() > 0.02 * portrait.face_height


def test_the_tongue_rises_with_the_opening_and_teeth_stay(portrait: Portrait) -> None:
    mouth = warp_of(portrait).still.mouth
    assert mouth is not None
    part, view = portrait.rig.vertex_part, portrait.crop
    moved = {}
    for jaw in (0.2, 0.6):
        points = view.points(driven(portrait, {"jawOpen": jaw}))
        moved[jaw] = points[:, 1] - mouth.placed(points)[:, 1]
    tongue = part == PART_NAMES.index("tongue")
    assert (moved[0.6][tongue] > moved[0.2][tongue] + 2.0).all()
    upper = part == PART_NAMES.index("upper_teeth")
    assert moved[0.6][upper] == pytest.approx(moved[0.2][upper], abs=0.05)
    assert (moved[0.6][part == PART_NAMES.index("face")] == 0.0).all()


def test_parted_lips_in_the_photo_serve_for_lips_as_far_apart() -> None:
    corners = np.array([(0, 0, 0), (50, 0, 0)], np.float32)

    def cover(opening: float, photo_gap: float) -> float:
        return passage_of(corners, opening, 1000.0, 0.05, photo_gap).cover

    assert cover(2.0, 0.002) == 0.0
    assert 0.0 < cover(3.0, 0.002) < cover(3.0, 0.0) == cover(4.0, 0.002)
    # Teeth that the photo shows are not stretched with the lips.
    assert cover(8.0, 0.008) == cover(8.0, 0.0)


def test_without_the_mouth_the_lips_are_stretched(portrait: Portrait) -> None:
    vertices = driven(portrait, {"jawOpen": 0.6})
    plain = PhotoWarp(portrait, portrait.crop, Surroundings(portrait), PLAIN_WARP)
    layers = plain.draw(vertices)
    assert layers.mouth is None
    points = portrait.crop.points(vertices)
    column, row = (points[UPPER_LIP_EDGE, :2] + points[LOWER_LIP_EDGE, :2]).astype(int) // 2
    lips = portrait.crop.points(portrait.source)[list(LIP_EDGES), 1]
    assert lips.min() - 2 < layers.motion.from_y[row, column] < lips.max() + 2


def test_frames_are_the_same_every_time(portrait: Portrait, renderer: FrameRenderer) -> None:
    vertices = driven(portrait, {"jawOpen": 0.4, "eyeBlinkLeft": 0.6}, yaw=-7)
    first = renderer.frame(vertices)
    renderer.frame(portrait.source)
    assert np.array_equal(first, renderer.frame(vertices))
    assert np.array_equal(first, FrameRenderer(portrait, SETTINGS).frame(vertices))


def test_backgrounds(portrait: Portrait, renderer: FrameRenderer) -> None:
    vertices = driven(portrait, {"jawOpen": 0.2}, yaw=5)
    kept = renderer.frame(vertices)
    found = {
        name: FrameRenderer(portrait, replace(SETTINGS, background=name)).frame(vertices)
        for name in ("green", "blur", "alpha")
    }
    nose = tuple((portrait.landmarks[NOSE_TIP, 1::-1] * SIZE / 768).astype(int))
    corner = (4, 4)
    assert found["green"][corner] == pytest.approx(GREEN, abs=3)
    assert found["alpha"].shape[2] == 4
    assert found["alpha"][(*corner, 3)] == 0 and found["alpha"][(*nose, 3)] == 255
    for name in ("green", "blur"):
        assert np.abs(found[name][nose].astype(int) - kept[nose]).max() <= 2


def test_the_size_asked_for_is_the_longer_side(portrait: Portrait) -> None:
    for size, wanted in ((100, (83, 100)), (0, (640, 768)), (4000, (640, 768))):
        renderer = FrameRenderer(portrait, replace(SETTINGS, size=size))
        assert renderer.size == wanted
        assert renderer.frame(portrait.source).shape[:2] == wanted[::-1]


def test_own_landmarks_drive_a_portrait_to_where_it_is(portrait: Portrait) -> None:
    performance = tracked_performance(portrait, portrait.landmarks[None], 25.0)
    away = np.linalg.norm(performance.vertices(0) - portrait.source, axis=1)
    skin = portrait.rig.vertex_part == PART_NAMES.index("face")
    assert away[skin].max() < 0.5
    shifted = tracked_performance(portrait, portrait.landmarks[None] + (7.0, 4.0, 0.0), 25.0)
    moved = shifted.vertices(0) - performance.vertices(0)
    assert np.abs(moved - (7.0, 4.0, 0.0)).max() < 0.05


def test_turns_are_held_softly() -> None:
    angles = np.radians(np.arange(0, 60, 2.0))
    held = softly_limited(angles, np.radians(18), LARGEST_TURN)
    assert np.array_equal(held[:9], angles[:9])
    assert (np.diff(held) >= 0).all() and held.max() <= LARGEST_TURN
    in_photo = np.radians((0.0, 0.0, 25.0))
    further = possible_turn(np.radians((0.0, 0.0, 20.0)), in_photo)[2] + in_photo[2]
    assert np.radians(25) <= further <= LARGEST_WHOLE
    back = possible_turn(np.radians((0.0, 0.0, -15.0)), in_photo)[2]
    assert back == pytest.approx(np.radians(-15))
    # A photo that is itself beyond the limit keeps its pose.
    assert possible_turn(np.zeros(3), np.radians((0.0, 0.0, 50.0))) == pytest.approx(np.zeros(3))


def test_the_mouth_speaks_and_the_brows_stay() -> None:
    expression = np.zeros(len(ARKIT_NAMES))
    for name in ("jawOpen", "mouthFunnel", "browInnerUp", "mouthSmileLeft"):
        expression[INDEX[name]] = 0.6
    kept = kept_weights(expression)
    assert kept[INDEX["jawOpen"]] == kept[INDEX["mouthFunnel"]] == 0
    assert kept[INDEX["browInnerUp"]] == pytest.approx(0.6)
    assert 0 < kept[INDEX["mouthSmileLeft"]] < 0.6


def test_a_take_for_another_face_is_told(portrait: Portrait) -> None:
    own = take_of(portrait, {})
    assert take_performance(portrait, own, 25.0).notes == ()
    wide = own.neutral * np.array((1.15, 1.0, 0.9), np.float32)
    notes = take_performance(portrait, replace(own, neutral=wide), 25.0).notes
    assert len(notes) == 1 and "another face" in notes[0]


def test_what_the_networks_see(portrait: Portrait) -> None:
    crop = FaceCrop(portrait)
    frame = crop.frame(driven(portrait, {"jawOpen": 0.5}, yaw=6))
    assert frame.flow.shape == (256, 256, 2) and frame.lips.shape == (64, 64, 8)
    assert frame.inside.shape == (256, 256, 4) and frame.inside[..., 3].max() > 0.99
    for values in (frame.seen, frame.face, frame.code):
        assert values.min() >= 0 and values.max() <= 1 + 1e-6
    assert np.abs(frame.lips).max() > 0.3, "the lips' maps do not show that the mouth opened"
    still = crop.frame(portrait.source)
    middle = np.s_[100:160, 100:160]
    assert np.abs(still.flow[middle]).max() < 0.3
    assert np.abs(still.lips).max() < 1e-3
    assert np.array_equal(still.code, crop.code)
