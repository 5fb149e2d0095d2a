# SPDX-License-Identifier: GPL-3.0-or-later
"""Lips that moved are a little softer; everything else is as sharp as it was."""

from __future__ import annotations

import numpy as np
import pytest

from backend.face.template import load_template
from backend.mesh_to_video.frame.performance import take_performance
from backend.mesh_to_video.frame.portrait import Portrait, portrait_from_photo
from backend.mesh_to_video.frame.soft_lips import MOST, MOST_PIXELS, SoftLips
from backend.mesh_to_video.frame.surroundings import Surroundings
from backend.mesh_to_video.frame_renderer import FrameRenderer
from backend.mesh_to_video.settings import GEOMETRY_ONLY, Parts, RenderSettings
from backend.samples import PORTRAIT
from shared.arkit import INDEX
from shared.landmarks import LIP_EDGES
from shared.take import Take


@pytest.fixture(scope="module")
def portrait() -> Portrait:
    return portrait_from_photo(PORTRAIT)


@pytest.fixture(scope="module")
def lips(portrait: Portrait) -> SoftLips:
    return SoftLips(portrait, portrait.crop, Surroundings(portrait))


def driven(portrait: Portrait, jaw: float = 0.0, yaw: float = 0.0) -> np.ndarray:
    weights = np.zeros((1, 52), np.float32)
    weights[0, INDEX["jawOpen"]] = jaw
    turn = np.array([[0.0, 0.0, np.radians(yaw)]], np.float32)
    take = Take(
        25.0, weights, turn, np.zeros_like(turn),
        portrait.neutral.vertices.astype(np.float32), load_template().triangles,
    )  # fmt: skip
    return take_performance(portrait, take, 25.0).vertices(0)


def test_lips_at_rest_stay_sharp_also_when_the_head_turns(
    portrait: Portrait, lips: SoftLips
) -> None:
    assert lips.of(portrait.source) is None
    still, turned = lips.of(driven(portrait)), lips.of(driven(portrait, yaw=15.0))
    width = still.width if still is not None else 0.0
    assert turned is None or turned.width == pytest.approx(width, abs=0.1)


def test_the_further_lips_go_the_softer_up_to_a_limit(portrait: Portrait, lips: SoftLips) -> None:
    widths = []
    for jaw in (0.05, 0.15, 1.0):
        found = lips.of(driven(portrait, jaw))
        widths.append(found.width if found is not None else 0.0)
    assert widths[0] < widths[1] <= widths[2]
    tall = portrait.face_height * portrait.crop.scale
    assert widths[2] == pytest.approx(min(MOST * tall, MOST_PIXELS))


def test_only_the_lips_and_what_is_close_to_them_are_softer(portrait: Portrait) -> None:
    def frame(soft: bool) -> np.ndarray:
        parts = Parts(motion_vae=False, lip_branch=False, generator=False, soft_lips=soft)
        settings = RenderSettings(parts=parts if soft else GEOMETRY_ONLY)
        return FrameRenderer(portrait, settings).frame(vertices).astype(float)

    vertices = driven(portrait, 0.4)
    soft, sharp = frame(True), frame(False)
    rows, columns = np.nonzero(np.abs(soft - sharp).max(axis=2))
    mouth = vertices[list(LIP_EDGES), :2].mean(axis=0)
    away = np.hypot(columns - mouth[0], rows - mouth[1])
    assert 0 < away.max() < 0.5 * portrait.face_height
    box = np.s_[rows.min() : rows.max(), columns.min() : columns.max()]
    steps = [np.abs(np.diff(picture[box], axis=0)).mean() for picture in (soft, sharp)]
    assert steps[0] < 0.95 * steps[1]
