# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the networks may paint."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from backend.face.template import load_template
from backend.mesh_to_video.frame.performance import take_performance
from backend.mesh_to_video.frame.portrait import portrait_from_photo
from backend.mesh_to_video.frame_renderer import FrameRenderer
from backend.mesh_to_video.networks.driven_frame import FaceCrop
from backend.mesh_to_video.networks.generator import DetailRefiner, Generator
from backend.mesh_to_video.networks.network_stage import BESIDE_FACE
from backend.mesh_to_video.networks.weights import VideoNetworks
from backend.mesh_to_video.settings import GEOMETRY_ONLY, Parts, RenderSettings
from backend.samples import PORTRAIT
from shared.arkit import INDEX
from shared.take import Take


@torch.no_grad()
def painting_everywhere() -> VideoNetworks:
    """A generator and a refiner that would make everything lighter."""
    generator, refiner = Generator().eval(), DetailRefiner().eval()
    assert generator.answer.bias is not None and refiner.answer.bias is not None
    generator.answer.bias[:12] = 0.4
    refiner.answer.bias += 0.1
    return VideoNetworks(None, generator, refiner)


def test_paint_stays_on_the_face() -> None:
    portrait = portrait_from_photo(PORTRAIT)
    weights = np.zeros((1, 52), np.float32)
    weights[0, INDEX["jawOpen"]] = 0.3
    turn = np.array([[0.0, 0.0, np.radians(18.0)]], np.float32)
    take = Take(
        25.0, weights, turn, np.zeros_like(turn),
        portrait.neutral.vertices.astype(np.float32), load_template().triangles,
    )  # fmt: skip
    vertices = take_performance(portrait, take, 25.0).vertices(0)
    parts = Parts(motion_vae=False, soft_lips=False)
    renderer = FrameRenderer(portrait, RenderSettings(parts=parts), painting_everywhere())
    assert renderer.still.refines
    plain = FrameRenderer(portrait, RenderSettings(parts=GEOMETRY_ONLY))
    away = np.abs(renderer.frame(vertices).astype(float) - plain.frame(vertices)).max(axis=2)
    seen = portrait.crop.cut(away.astype(np.float32))
    face = FaceCrop(portrait).frame(vertices).face
    inner = cv2.erode(face, np.ones((25, 25)))
    assert np.median(seen[inner > 0]) > 20
    reach = 2 * (BESIDE_FACE + 3) + 1
    beside = cv2.dilate(face, np.ones((reach, reach))) == 0
    assert seen[beside].max() <= 1
