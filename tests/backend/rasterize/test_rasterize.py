# SPDX-License-Identifier: GPL-3.0-or-later
"""All rasterisers that are installed show the same triangle in every pixel."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from backend.rasterize import (
    BACKENDS,
    Fragments,
    available,
    interpolate,
    on_torch,
    rasterize,
    rasterize_attributes,
)

REFERENCE = "numba"


def _needed(name: str) -> None:
    if name not in available():
        pytest.skip(f"the rasteriser '{name}' is not installed here")


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    _needed(name)
    return name


@pytest.fixture(params=[name for name in BACKENDS if name != "pytorch3d"])
def exact_backend(request: pytest.FixtureRequest) -> str:
    """The backends that guarantee to round alike."""
    name: str = request.param
    _needed(name)
    return name


def _soup(seed: int, count: int, size: tuple[int, int], reach: float) -> tuple[np.ndarray, ...]:
    """Unconnected triangles, some partly or wholly outside the picture."""
    random = np.random.default_rng(seed)
    middle = random.uniform(-0.2, 1.2, (count, 1, 2)) * size
    corners = np.empty((count, 3, 3), np.float32)
    corners[..., :2] = middle + random.normal(0, reach, (count, 3, 2))
    corners[..., 2] = random.normal(0, 20, (count, 3))
    return corners.reshape(-1, 3), np.arange(count * 3, dtype=np.int32).reshape(-1, 3)


def _grid(across: int, side: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A crooked but unfolded sheet of triangles that covers more than the square 0..side."""
    random = np.random.default_rng(seed)
    step = (side + 4.0) / across
    place = np.arange(across + 1) * step - 2.0
    points = np.stack([*np.meshgrid(place, place), np.zeros((across + 1,) * 2)], axis=-1)
    points[1:-1, 1:-1, :2] += random.uniform(-0.3, 0.3, (across - 1, across - 1, 2)) * step
    corner = np.arange(across)[:, None] * (across + 1) + np.arange(across)
    upper = np.stack([corner, corner + 1, corner + across + 1], axis=-1)
    lower = np.stack([corner + 1, corner + across + 2, corner + across + 1], axis=-1)
    triangles = np.concatenate([upper.reshape(-1, 3), lower.reshape(-1, 3)])
    return points.reshape(-1, 3).astype(np.float32), triangles.astype(np.int32)


def _brute(vertices: np.ndarray, triangles: np.ndarray, size: tuple[int, int]) -> Fragments:
    """The convention spelled out, triangle by triangle over the whole picture."""
    width, height = size
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    face_id = np.full((height, width), -1, np.int32)
    depth = np.full((height, width), np.inf, np.float32)
    shares = np.zeros((height, width, 3), np.float32)
    for number, (first, second, third) in enumerate(vertices[triangles].astype(np.float64)):
        if not np.isfinite([first, second, third]).all():
            continue
        # Twice the areas that the pixel spans with the three sides.
        spans = [
            (end[0] - start[0]) * (y - start[1]) - (end[1] - start[1]) * (x - start[0])
            for start, end in ((second, third), (third, first), (first, second))
        ]
        area = spans[0] + spans[1] + spans[2]
        if abs(area[0, 0]) < 1e-6:
            continue
        share = np.stack(spans, axis=-1) / area[..., None]
        z = (share @ np.array([first[2], second[2], third[2]])).astype(np.float32)
        won = (share >= 0).all(axis=-1) & (z < depth)
        face_id[won], depth[won], shares[won] = number, z[won], share[won]
    return Fragments(face_id, depth, shares)


@pytest.mark.parametrize("size", [(48, 48), (61, 37), (1, 5)])
def test_every_backend_follows_the_convention(backend: str, size: tuple[int, int]) -> None:
    vertices, triangles = _soup(3, 60, size, 8.0)
    expected = _brute(vertices, triangles, size)
    found = rasterize(vertices, triangles, size, backend)
    assert found.face_id.dtype == np.int32 and found.depth.dtype == np.float32
    # Single precision may give a pixel exactly on an edge to the neighbour or to none.
    allowed = 3 if backend == "pytorch3d" else 0
    other = found.face_id != expected.face_id
    assert other.sum() <= allowed
    seen = expected.covered & ~other
    assert np.abs(found.depth[seen] - expected.depth[seen]).max(initial=0) < 1e-2
    assert np.abs(found.barycentric[seen] - expected.barycentric[seen]).max(initial=0) < 1e-3
    nothing = ~found.covered
    assert (found.face_id[nothing] == -1).all()
    assert np.isposinf(found.depth[nothing]).all() and not found.barycentric[nothing].any()
    if size[0] > 1:
        assert expected.covered.any() and nothing.any()


def test_pixel_centres_lie_half_a_pixel_in(backend: str) -> None:
    points = [(0, 0, 5), (10, 0, 5), (0, 10, 5), (0, 0, 1), (4, 0, 1), (0, 4, 1)]
    found = rasterize(points, [(0, 1, 2), (3, 4, 5)], (10, 10), backend)
    assert found.face_id[0, 0] == 1 and found.face_id[3, 3] == 0 and found.face_id[9, 9] == -1
    assert np.allclose(found.barycentric[found.covered].sum(axis=1), 1.0)
    # The centre of pixel (3, 3) is at 3.5, 3.5.
    assert found.barycentric[3, 3] == pytest.approx((0.3, 0.35, 0.35))
    assert found.depth[0, 0] == pytest.approx(1) and found.depth[3, 3] == pytest.approx(5)


@pytest.mark.parametrize("seed", range(4))
def test_backends_are_alike_to_the_last_bit(seed: int) -> None:
    _needed("numba")
    size = (96, 80)
    vertices, triangles = _soup(seed, 400, size, 6.0)
    numba = rasterize(vertices, triangles, size, "numba")
    torch_ = rasterize(vertices, triangles, size, "torch")
    np.testing.assert_array_equal(numba.face_id, torch_.face_id)
    np.testing.assert_array_equal(numba.depth, torch_.depth)
    np.testing.assert_array_equal(numba.barycentric, torch_.barycentric)


def test_a_sheet_has_no_holes(backend: str) -> None:
    vertices, triangles = _grid(37, 64.0, 5)
    assert rasterize(vertices, triangles, (64, 64), backend).covered.all()


def test_edges_through_pixel_centres_belong_to_the_first_triangle(exact_backend: str) -> None:
    # All inner edges of this sheet run through pixel centres.
    place = np.arange(0.5, 12.0, 2.0)
    points = np.stack([*np.meshgrid(place, place), np.zeros((6, 6))], axis=-1).reshape(-1, 3)
    corner = np.arange(5)[:, None] * 6 + np.arange(5)
    halves = np.stack(
        [
            np.stack([corner, corner + 1, corner + 6], axis=-1),
            np.stack([corner + 1, corner + 7, corner + 6], axis=-1),
        ],
        axis=2,
    )
    triangles = halves.reshape(-1, 3).astype(np.int32)
    for order in (slice(None), slice(None, None, -1)):
        found = rasterize(points.astype(np.float32), triangles[order], (11, 11), exact_backend)
        assert found.covered.all()
        expected = _brute(points.astype(np.float32), triangles[order], (11, 11))
        np.testing.assert_array_equal(found.face_id, expected.face_id)


def test_the_nearer_triangle_hides_the_farther(backend: str) -> None:
    # Two walls that pass through each other: each is in front on one side.
    sheet = np.array([[0, 0], [40, 0], [0, 40]], np.float32)
    first = np.column_stack([sheet, [-10, 30, -10]])
    second = np.column_stack([sheet, [10, 10, 10]])
    vertices = np.concatenate([first, second]).astype(np.float32)
    found = rasterize(vertices, np.arange(6, dtype=np.int32).reshape(2, 3), (20, 20), backend)
    assert (found.face_id[:, :19] == 0).all()
    found = rasterize(vertices, np.arange(6, dtype=np.int32).reshape(2, 3), (30, 5), backend)
    assert (found.face_id[:, 21:] == 1).all()
    np.testing.assert_allclose(found.depth[:, 21:], 10, atol=1e-5)


def test_of_equally_near_triangles_the_first_wins(exact_backend: str) -> None:
    one = np.array([[0, 0, 0], [9, 0, -3], [0, 9, 4]], np.float32)
    vertices = np.concatenate([one, one, one])
    triangles = np.array([[3, 4, 5], [0, 1, 2], [6, 7, 8]], np.int32)
    found = rasterize(vertices, triangles, (10, 10), exact_backend)
    assert set(np.unique(found.face_id)) == {-1, 0}


def test_depths_of_both_signs_are_in_order(backend: str) -> None:
    sheet = np.array([[0, 0], [9, 0], [0, 9]], np.float32)
    for depths in ([-1, -2, 3], [0.5, 2, 0.25], [-0.5, -0.25, -2], [0, -1, 1]):
        vertices = np.concatenate([np.column_stack([sheet, [z] * 3]) for z in depths])
        triangles = np.arange(9, dtype=np.int32).reshape(3, 3)
        found = rasterize(vertices.astype(np.float32), triangles, (8, 8), backend)
        assert (found.face_id[found.covered] == np.argmin(depths)).all()
        assert found.covered.any()


def test_what_cannot_be_drawn_is_left_out(backend: str) -> None:
    bad = [
        [[2, 2, 0], [2, 2, 0], [2, 2, 0]],  # a point
        [[0.5, 0.5, 0], [4.5, 4.5, 0], [8.5, 8.5, 0]],  # a line through pixel centres
        [[np.nan, 0, 0], [9, 0, 0], [0, 9, 0]],
        [[0, 0, np.nan], [9, 0, 0], [0, 9, 0]],
        [[0, 0, 0], [np.inf, 0, 0], [0, 9, 0]],
        [[0, 0, 0], [9, 0, -np.inf], [0, 9, 0]],
        [[-90, 0, 0], [-50, 0, 0], [-70, 9, 0]],  # beside the picture
        [[0, 1e9, 0], [9, 1e9, 0], [5, 2e9, 0]],  # far below
    ]
    good = [[0, 0, 5], [9, 0, 5], [0, 9, 5]]
    vertices = np.array([*bad, good], np.float32).reshape(-1, 3)
    triangles = np.arange(len(vertices), dtype=np.int32).reshape(-1, 3)
    found = rasterize(vertices, triangles, (10, 10), backend)
    alone = rasterize(np.array(good, np.float32), triangles[:1], (10, 10), backend)
    np.testing.assert_array_equal(found.face_id == len(bad), alone.covered)
    np.testing.assert_array_equal(found.covered, alone.covered)
    assert not rasterize(vertices, triangles[:-1], (10, 10), backend).covered.any()


def test_a_triangle_larger_than_the_picture_fills_it(backend: str) -> None:
    vertices = np.array([[-1e5, -1e5, 1], [3e5, -1e5, 1], [-1e5, 3e5, 1]], np.float32)
    found = rasterize(vertices, np.array([[0, 1, 2]]), (7, 4), backend)
    assert found.covered.all() and found.face_id.shape == (4, 7)


def test_nothing_to_draw_gives_an_empty_picture(backend: str) -> None:
    none = np.zeros((0, 3), np.int32)
    for vertices in (np.zeros((0, 3), np.float32), np.ones((4, 3), np.float32)):
        found = rasterize(vertices, none, (5, 3), backend)
        assert found.face_id.shape == (3, 5) and not found.covered.any()
        assert interpolate(found, none, np.ones((len(vertices), 2))).shape == (3, 5, 2)


def test_culling_leaves_out_one_side_only(backend: str) -> None:
    vertices = np.array([[0, 0, 0], [9.2, 0, 0], [0, 9.1, 0]], np.float32)
    clockwise, other = np.array([[0, 1, 2]]), np.array([[0, 2, 1]])
    both = rasterize(vertices, clockwise, (10, 10), backend).covered
    assert both.any()
    assert not rasterize(vertices, clockwise, (10, 10), backend, cull="back").covered.any()
    shown = rasterize(vertices, other, (10, 10), backend, cull="back").covered
    np.testing.assert_array_equal(shown, both)


def test_a_stack_is_the_pictures_one_by_one(backend: str) -> None:
    size = (24, 20)
    meshes = [_soup(seed, 30, size, 5.0) for seed in range(3)]
    stack = rasterize(np.stack([mesh for mesh, _ in meshes]), meshes[0][1], size, backend)
    for number, (mesh, triangles) in enumerate(meshes):
        one = rasterize(mesh, triangles, size, backend)
        np.testing.assert_array_equal(stack.face_id[number], one.face_id)
        np.testing.assert_array_equal(stack.barycentric[number], one.barycentric)


def test_pictures_drawn_at_the_same_time_do_not_mix(exact_backend: str) -> None:
    size = (64, 64)
    meshes = [_soup(seed, 300, size, 6.0) for seed in range(6)]
    alone = [rasterize(*mesh, size, exact_backend).face_id for mesh in meshes]
    with ThreadPoolExecutor(3) as threads:
        together = threads.map(lambda mesh: rasterize(*mesh, size, exact_backend).face_id, meshes)
        for one, other in zip(alone, together, strict=True):
            np.testing.assert_array_equal(one, other)


def test_small_pieces_give_the_same_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    size = (40, 30)
    vertices, triangles = _soup(1, 80, size, 9.0)
    whole = rasterize(vertices, triangles, size, "torch")
    for piece in (1, 100, 977):
        monkeypatch.setattr(on_torch, "PIECE_ON_CPU", piece)
        parts = rasterize(vertices, triangles, size, "torch")
        np.testing.assert_array_equal(parts.face_id, whole.face_id)


def test_attributes_are_mixed_by_the_shares(backend: str) -> None:
    size = (32, 32)
    vertices, triangles = _soup(8, 40, size, 9.0)
    found = rasterize(vertices, triangles, size, backend)
    # Where a pixel lies and how deep is itself mixed from the corners.
    place = interpolate(found, triangles, vertices)
    y, x = np.nonzero(found.covered)
    np.testing.assert_allclose(place[y, x, 0], x + 0.5, atol=2e-3)
    np.testing.assert_allclose(place[y, x, 1], y + 0.5, atol=2e-3)
    np.testing.assert_allclose(place[y, x, 2], found.depth[y, x], atol=2e-2)
    assert not place[~found.covered].any()
    of_corners = interpolate(found, triangles, vertices[triangles])
    np.testing.assert_allclose(of_corners, place, atol=1e-5)
    face_id, depth, values = rasterize_attributes(vertices, triangles, vertices, size, backend)
    np.testing.assert_array_equal(face_id, found.face_id)
    np.testing.assert_array_equal(depth, found.depth)
    np.testing.assert_allclose(values, place, atol=1e-4)


def test_attributes_of_a_stack(exact_backend: str) -> None:
    size = (24, 20)
    vertices = np.stack([_soup(seed, 20, size, 5.0)[0] for seed in range(2)])
    triangles = _soup(0, 20, size, 5.0)[1]
    colours = np.random.default_rng(1).random((2, vertices.shape[1], 4)).astype(np.float32)
    stack = rasterize(vertices, triangles, size, exact_backend)
    mixed = interpolate(stack, triangles, colours)
    tensors = rasterize(torch.from_numpy(vertices), triangles, size, exact_backend)
    as_tensor = interpolate(tensors, triangles, torch.from_numpy(colours))
    np.testing.assert_allclose(as_tensor.numpy(), mixed, atol=1e-6)
    for number in range(2):
        one = rasterize(vertices[number], triangles, size, exact_backend)
        expected = interpolate(one, triangles, colours[number])
        np.testing.assert_array_equal(mixed[number], expected)
        np.testing.assert_array_equal(
            interpolate(stack, triangles, colours[number])[number], expected
        )


def test_gradients_agree_with_finite_differences(backend: str) -> None:
    size = (16, 16)
    points, triangles = _soup(4, 4, size, 9.0)
    points = points.astype(np.float64)
    colours = torch.from_numpy(np.random.default_rng(2).random((len(points), 3)))
    aim = torch.from_numpy(np.random.default_rng(3).random((16, 16, 3)))
    fixed = rasterize(points, triangles, size, REFERENCE if REFERENCE in available() else "torch")

    def loss(vertices: torch.Tensor) -> torch.Tensor:
        found = rasterize(vertices, triangles, size, backend)
        assert (found.face_id.numpy() == fixed.face_id).all()
        values = interpolate(found, triangles, colours)
        seen = found.covered
        return ((values - aim)[seen] ** 2).sum() + 0.01 * (found.depth[seen] ** 2).sum()

    vertices = torch.tensor(points, dtype=torch.float32, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(vertices), vertices)
    assert torch.isfinite(gradient).all() and (gradient.abs() > 1e-3).sum() > 20
    for corner, axis in [(0, 0), (1, 1), (5, 2), (7, 0), (9, 1)]:
        # So small a step that no pixel changes its triangle (which is tested above).
        step = torch.zeros_like(vertices)
        step[corner, axis] = 1e-3
        with torch.no_grad():
            slope = (loss(vertices + step) - loss(vertices - step)) / 2e-3
        assert float(gradient[corner, axis]) == pytest.approx(float(slope), rel=0.02, abs=0.02)


def test_gradients_stay_finite_beside_bad_vertices() -> None:
    vertices = torch.tensor(
        [[np.nan, 0, 0], [9, 0, 0], [0, 9, 0], [1, 1, 1], [8, 1, 1], [1, 8, 2]],
        dtype=torch.float32,
        requires_grad=True,
    )
    triangles = np.array([[0, 1, 2], [3, 4, 5]], np.int32)
    found = rasterize(vertices, triangles, (10, 10))
    colours = torch.where(torch.isfinite(vertices), vertices, torch.nan)
    interpolate(found, triangles, colours).sum().backward()
    assert vertices.grad is not None and torch.isfinite(vertices.grad[3:]).all()
    assert torch.isfinite(interpolate(found, triangles, vertices.detach())).all()


def test_write_protected_and_oddly_laid_out_arrays_are_fine(backend: str) -> None:
    size = (20, 20)
    vertices, triangles = _soup(2, 30, size, 5.0)
    expected = rasterize(vertices, triangles, size, backend).face_id
    protected, numbers = vertices.astype(np.float64), np.asfortranarray(triangles.astype(np.int64))
    protected.setflags(write=False)
    numbers.setflags(write=False)
    np.testing.assert_array_equal(rasterize(protected, numbers, size, backend).face_id, expected)
