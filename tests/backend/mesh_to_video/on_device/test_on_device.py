# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames by torch in batches are those of the CPU, here with torch on the CPU as the device."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from small_films import psnr

from backend.face.head.eyes import lid_ring
from backend.mesh_to_video.frame.mouth_interior import RING, box_around
from backend.mesh_to_video.frame.performance import take_performance
from backend.mesh_to_video.frame.portrait import Portrait, portrait_from_photo
from backend.mesh_to_video.frame.view import View
from backend.mesh_to_video.networks.generator import DetailRefiner, Generator
from backend.mesh_to_video.networks.motion_vae import DualBranchMotionVAE
from backend.mesh_to_video.networks.weights import VideoNetworks
from backend.mesh_to_video.on_device.pictures import (
    Placing,
    as_planes,
    blurred,
    box_blurred,
    ellipse,
    eroded,
    gaussians,
    inside_polygon,
    sampled,
)
from backend.mesh_to_video.on_device.renderer import DeviceRenderer
from backend.mesh_to_video.settings import GEOMETRY_ONLY, PLAIN_WARP, Parts, RenderSettings
from backend.rasterize import TensorFragments, on_torch
from backend.samples import PORTRAIT
from shared.arkit import INDEX
from shared.take import Take

SIDE = 160
# Expressions, and the head's turn to the side in degrees.
POSES: tuple[tuple[dict[str, float], float], ...] = (
    ({}, 0.0),
    ({"jawOpen": 0.7}, 0.0),
    ({"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0, "jawOpen": 0.1}, 0.0),
    ({"jawOpen": 0.3}, 15.0),
    ({}, -15.0),
    ({"mouthSmileLeft": 0.9, "mouthSmileRight": 0.9, "jawOpen": 0.15}, 0.0),
)
WHOLE, MOUTH_AND_EYES = 45.0, 42.0
WITHOUT_NETWORKS = Parts(motion_vae=False, lip_branch=False, generator=False)


@pytest.fixture(scope="module")
def portrait() -> Portrait:
    return portrait_from_photo(PORTRAIT)


@pytest.fixture(scope="module")
def heads(portrait: Portrait) -> NDArray[np.float32]:
    weights = np.zeros((len(POSES), 52), np.float32)
    turns = np.zeros((len(POSES), 3), np.float32)
    for number, (expression, turn) in enumerate(POSES):
        for name, weight in expression.items():
            weights[number, INDEX[name]] = weight
        turns[number, 2] = np.radians(turn)
    take = Take(
        fps=25.0,
        weights=weights,
        head_rotation=turns,
        head_translation=np.zeros_like(turns),
        neutral=portrait.neutral.vertices,
        triangles=np.array([[0, 1, 2]]),
        offset_basis=np.zeros((0, len(portrait.neutral.vertices), 3)),
        offset_weights=np.zeros((len(POSES), 0)),
    )
    performance = take_performance(portrait, take, 25.0)
    return np.stack([performance.vertices(frame) for frame in range(len(POSES))])


def stirred_networks() -> VideoNetworks:
    """Networks that change every pixel, as trained ones do."""
    random = torch.Generator().manual_seed(5)
    networks = VideoNetworks(
        DualBranchMotionVAE().eval(), Generator().eval(), DetailRefiner().eval()
    )
    with torch.no_grad():
        for network in (networks.motion_vae, networks.generator, networks.refiner):
            assert network is not None
            for parameter in network.parameters():
                parameter.add_(0.03 * torch.randn(parameter.shape, generator=random))
    return networks


def agree(renderer: DeviceRenderer, heads: NDArray[np.float32]) -> None:
    made = renderer.frames(heads)
    assert made.shape[:3] == (len(heads), renderer.size[1], renderer.size[0])
    scale = np.float32(renderer.on_cpu.still.warp.view.scale)
    for number, head in enumerate(heads):
        expected = renderer.on_cpu.frame(head)
        assert expected.dtype == made.dtype and expected.shape == made[number].shape
        if expected.shape[2] == 4:  # colours count as far as they cover
            expected, picture = (
                np.dstack([one[..., :3] * (one[..., 3:] / 255.0), one[..., 3:]])
                for one in (expected, made[number])
            )
        else:
            picture = made[number]
        assert psnr(picture, expected) >= WHOLE, f"pose {number}"
        for ring in (list(RING), lid_ring("left"), lid_ring("right")):
            box = box_around(head[ring] * scale, *renderer.size)
            assert box is not None
            part = (slice(box[1], box[3]), slice(box[0], box[2]))
            assert psnr(picture[part], expected[part]) >= MOUTH_AND_EYES, f"pose {number}"


def test_the_whole_pipeline_with_networks(portrait: Portrait, heads: NDArray[np.float32]) -> None:
    renderer = DeviceRenderer(portrait, RenderSettings(SIDE), stirred_networks(), "cpu")
    plain = DeviceRenderer(portrait, RenderSettings(SIDE, parts=GEOMETRY_ONLY), device="cpu")
    agree(renderer, heads[1:4])
    # They did something that the comparison could miss.
    assert psnr(renderer.frames(heads[:1])[0], plain.frames(heads[:1])[0]) < 40


def test_the_refiner_works_where_the_video_is_larger(
    portrait: Portrait, heads: NDArray[np.float32]
) -> None:
    renderer = DeviceRenderer(portrait, RenderSettings(600), stirred_networks(), "cpu")
    assert renderer.on_cpu.still.refines
    agree(renderer, heads[1:2])


@pytest.mark.parametrize("background", ["keep", "blur", "green", "alpha"])
def test_every_background(portrait: Portrait, heads: NDArray[np.float32], background: str) -> None:
    settings = RenderSettings(SIDE, background=background, parts=WITHOUT_NETWORKS)
    agree(DeviceRenderer(portrait, settings, device="cpu"), heads)


def test_parts_left_out(portrait: Portrait, heads: NDArray[np.float32]) -> None:
    plain = RenderSettings(SIDE, parts=PLAIN_WARP)
    agree(DeviceRenderer(portrait, plain, device="cpu"), heads[:2])
    networks = stirred_networks()
    vae_alone = VideoNetworks(networks.motion_vae, None, None)
    settings = RenderSettings(SIDE, parts=Parts(lip_branch=False, generator=False))
    agree(DeviceRenderer(portrait, settings, vae_alone, "cpu"), heads[1:3])


def test_a_frame_does_not_depend_on_its_batch(
    portrait: Portrait, heads: NDArray[np.float32]
) -> None:
    settings = RenderSettings(SIDE, parts=WITHOUT_NETWORKS)
    renderer = DeviceRenderer(portrait, settings, device="cpu")
    together = renderer.frames(heads).astype(int)
    for number in (0, 1, 2):
        alone = renderer.frames(torch.from_numpy(heads[number : number + 1])).astype(int)
        assert np.abs(alone[0] - together[number]).max() <= 1


def test_all_that_is_worked_with_lies_on_the_device(
    portrait: Portrait, heads: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Torch's device without data refuses to mix its values with the CPU's, as GPUs do. Which
    triangles are seen depends on data, so that is left out."""

    def nothing_seen(
        vertices: torch.Tensor, triangles: torch.Tensor, size: tuple[int, int]
    ) -> TensorFragments:
        assert vertices.device == triangles.device
        shape = (len(vertices), size[1], size[0])
        where = vertices.device
        face_id = torch.zeros(shape, dtype=torch.int32, device=where)
        depth, shares = torch.zeros(shape, device=where), torch.zeros((*shape, 3), device=where)
        return TensorFragments(face_id, depth, shares)

    monkeypatch.setattr(on_torch, "rasterize", nothing_seen)
    done = []
    monkeypatch.setattr(
        torch.Tensor, "cpu", lambda self: done.append(self) or torch.zeros_like(self, device=CPU)
    )
    DeviceRenderer(portrait, RenderSettings(600), stirred_networks(), "meta").frames(heads)
    (pictures,) = done
    assert pictures.device.type == "meta" and pictures.dtype == torch.uint8
    assert pictures.shape[0] == len(heads) and pictures.shape[1:3] == (600, 500)


def test_a_batch_of_large_pictures_is_small(portrait: Portrait) -> None:
    whole = DeviceRenderer(portrait, RenderSettings(parts=GEOMETRY_ONLY), device="cpu", batch=64)
    assert 1 <= whole.batch < 64


def picture(height: int = 40, width: int = 56, channels: int = 3) -> NDArray[np.float32]:
    random = np.random.default_rng(3)
    return random.random((height, width, channels), np.float32)


def as_array(planes: torch.Tensor) -> NDArray[np.float32]:
    return planes[0].permute(1, 2, 0).numpy()


CPU = torch.device("cpu")


@pytest.mark.parametrize("scale", [0.31, 0.75, 1.0, 2.6])
def test_one_view_into_another(scale: float) -> None:
    given = picture()
    view = View(3.0, 5.0, 1.5, 56, 40)
    other = View(5.3, -2.1, 1.5 * scale, 70, 61)
    placed = as_array(Placing(view, other, CPU)(as_planes(given, CPU)))
    # OpenCV rounds places to 1/32 of a pixel.
    assert np.abs(placed - view.into(given, other)).max() < 0.06
    assert np.abs(placed - view.into(given, other)).mean() < 0.01


def test_blurs_and_sampling_are_opencvs() -> None:
    given = picture()
    planes = as_planes(given, CPU)
    assert np.allclose(as_array(box_blurred(planes, 3)), cv2.blur(given, (7, 7)), atol=1e-5)
    widths = [0.5, 1.3, 2.2]
    soft = blurred(planes.transpose(0, 1), torch.from_numpy(gaussians(widths)))
    for channel, width in enumerate(widths):
        expected = cv2.GaussianBlur(given[..., channel], (0, 0), width)
        assert np.allclose(soft[channel, 0].numpy(), expected, atol=1e-5)
    x, y = np.meshgrid(np.arange(60, dtype=np.float32) - 1.75, np.arange(40, dtype=np.float32) / 2)
    for mode, kernel in (("bilinear", cv2.INTER_LINEAR), ("bicubic", cv2.INTER_CUBIC)):
        places = (torch.from_numpy(value[None] + 0.5) for value in (x, y))
        expected = cv2.remap(given, x, y, kernel, borderMode=cv2.BORDER_REPLICATE)
        assert np.allclose(as_array(sampled(planes, *places, mode)), expected, atol=1e-4)


@pytest.mark.parametrize("reach", [1, 3, 6])
def test_masks_shrink_by_opencvs_ellipse(reach: int) -> None:
    mask = (cv2.GaussianBlur(picture()[..., 0], (0, 0), 2.0) > 0.45).astype(np.uint8)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    found = eroded(as_planes(mask, CPU), ellipse(reach))
    assert np.array_equal(as_array(found)[..., 0], cv2.erode(mask, kernel))
    assert 0 < found.sum() < mask.sum()


def test_the_inside_of_polygons() -> None:
    star = np.array([[(5, 30), (20, 2), (22, 20), (50, 22), (20, 30)]], np.float32) + 0.25
    square = np.array([[(-9, 8), (90, 8), (90, 16), (40, 16), (-9, 16)]], np.float32)
    found = inside_polygon(torch.from_numpy(np.concatenate([star, square])), 56, 40).numpy()
    assert not found[1, :8].any() and found[1, 8:16].all() and not found[1, 16:].any()
    expected = np.zeros((160, 224), np.uint8)  # four times finer, so that edges do not count
    cv2.fillPoly(expected, [np.round(4 * star[0] - 0.5).astype(np.int32)], 1)
    share = cv2.resize(expected.astype(np.float32), (56, 40), interpolation=cv2.INTER_AREA)
    assert (found[0][share > 0.95]).all() and not found[0][share < 0.05].any()
    assert (share > 0.95).sum() > 100
