# SPDX-License-Identifier: GPL-3.0-or-later
"""The head around the face: closed, outward, symmetric, fitting, and still where it must be."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy.ndimage import binary_dilation

from backend.face.build_head import build_head
from backend.face.contact_sheet import COMBINATIONS, pose_weights
from backend.face.from_photo import template_neutral
from backend.face.head.eyes import lid_ring
from backend.face.head.hair import scalp, with_hair
from backend.face.head.head_grid import head_grid
from backend.face.head.head_shell import fitted_shell, operators
from backend.face.head.mouth import mouth_ring
from backend.face.head.parts import PART_NAMES
from backend.face.template import face_size, load_template
from backend.face.texture.photo_crop import PhotoCrop
from backend.rasterize import rasterize
from shared.arkit import INDEX
from shared.face import FaceMesh
from shared.landmarks import CHIN, FACE_OVAL, LANDMARK_COUNT

MILLIMETRE = 0.001
INSIDE = ("upper_teeth", "lower_teeth", "upper_gum", "lower_gum", "tongue", "mouth_bag")


def whole(landmarks: np.ndarray) -> FaceMesh:
    return build_head(landmarks, load_template().irises, None, {})


@pytest.fixture(scope="module")
def head() -> FaceMesh:
    return whole(template_neutral())


@pytest.fixture(scope="module")
def odd_heads() -> dict[str, FaceMesh]:
    mean = template_neutral()
    wavy = mean + 0.002 * np.sin(mean @ np.random.default_rng(4).normal(size=(3, 3)) * 40.0)
    wavy[list(mouth_ring())] = mean[list(mouth_ring())]
    return {
        "wide": whole(mean * (1.12, 1.0, 0.95)),
        "long": whole(mean * (0.93, 1.05, 1.10)),
        "child": whole(mean * 0.8),
        "uneven": whole(wavy),
    }


def of_part(face: FaceMesh, *names: str) -> np.ndarray:
    wanted = [face.part_names.index(name) for name in names]
    return np.flatnonzero(np.isin(face.vertex_part, wanted))


def edges(triangles: np.ndarray) -> Counter[tuple[int, int]]:
    return Counter(
        (int(a), int(b)) for t in triangles for a, b in ((t[0], t[1]), (t[1], t[2]), (t[2], t[0]))
    )


def shown(face: FaceMesh, pose: dict[str, float], names: tuple[str, ...], ring: list[int],
          yaw: float = 0.0, size: int = 240) -> tuple[int, int]:  # fmt: skip
    """Pixels of some parts, and those of them that lie outside a ring of landmarks."""
    a = np.radians(yaw)
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    points = face.posed(pose_weights(pose).astype(np.float32)) @ turn.T
    x, y = size / 2 + points[:, 0] * size / 0.2, size / 2 - points[:, 2] * size / 0.2
    front = face.triangles[(points[face.triangles, 1] < 0.03).any(axis=1)]
    seen = rasterize(np.stack([x, y, points[:, 1]], axis=1), front, (size, size)).face_id
    wanted = [face.part_names.index(name) for name in names]
    hit = np.zeros(seen.shape, bool)
    hit[seen >= 0] = np.isin(face.vertex_part[front[seen[seen >= 0], 0]], wanted)
    mask = Image.new("L", (size, size))
    outline = [(float(x[k]), float(y[k])) for k in ring]
    ImageDraw.Draw(mask).polygon(outline, fill=1, outline=1)
    allowed = binary_dilation(np.asarray(mask) > 0, iterations=1)
    return int(hit.sum()), int((hit & ~allowed).sum())


def test_every_vertex_knows_its_part(head: FaceMesh) -> None:
    assert head.part_names == PART_NAMES
    assert set(np.unique(head.vertex_part)) == set(range(len(PART_NAMES)))
    assert not head.vertex_part[:LANDMARK_COUNT].any()
    assert 5000 <= len(head.vertices) <= 12_000
    # Middles of edges between the face and what is around it belong to what is around it.
    rim = head.vertices[list(FACE_OVAL)]
    on_rim = (rim + np.roll(rim, 1, axis=0)) / 2
    skull = head.vertices[of_part(head, "skull", "neck")]
    assert np.linalg.norm(on_rim[:, None] - skull[None], axis=-1).min(axis=1).max() > 1 * MILLIMETRE
    for side, sign in (("left", 1), ("right", -1)):
        for name in (f"{side}_ear", f"{side}_eye", f"{side}_lid_edge"):
            assert (sign * head.vertices[of_part(head, name), 0] > 0.005).all(), name


def test_the_skin_is_one_closed_sheet_but_for_eyes_and_mouth(head: FaceMesh) -> None:
    skin = head.triangles[head.triangle_material == head.materials.index("skin")]
    found = edges(skin)
    assert max(found.values()) == 1
    borders = {edge for edge in found if edge[::-1] not in found}
    parts = {head.part_names[head.vertex_part[a]] for a, _ in borders}
    assert parts == {"left_lid_edge", "right_lid_edge", "inner_lips"}
    assert np.isfinite(head.vertices).all() and np.isfinite(head.shapes).all()


def test_every_part_shows_its_outside(head: FaceMesh) -> None:
    points, triangles = head.vertices.astype(np.float64), head.triangles
    normal = np.cross(points[triangles[:, 1]] - points[triangles[:, 0]],
                      points[triangles[:, 2]] - points[triangles[:, 0]])  # fmt: skip
    centre = points[triangles].mean(axis=1)
    assert (np.linalg.norm(normal, axis=1) > 1e-12).mean() > 0.999

    def outward(name: str) -> float:
        own = (head.vertex_part[triangles] == head.part_names.index(name)).all(axis=1)
        middle = points[of_part(head, name)].mean(axis=0)
        return float((((centre[own] - middle) * normal[own]).sum(axis=1) > 0).mean())

    for name in ("skull", "neck", "left_eye", "right_eye", "tongue"):
        assert outward(name) > 0.97, name
    # The lining of a hollow faces into it.
    for name in ("left_lid_edge", "right_lid_edge", "mouth_bag", "inner_lips"):
        assert outward(name) < 0.03, name
    for name in ("upper_teeth", "lower_teeth"):
        first = of_part(head, name)[0]
        count = len(of_part(head, name)) // 14
        tooth = np.arange(first, first + count)
        own = np.isin(triangles, tooth).all(axis=1)
        away = centre[own] - points[tooth].mean(axis=0)
        assert ((away * normal[own]).sum(axis=1) > 0).mean() > 0.95, name


def test_both_sides_mirror_each_other_on_a_symmetric_face(head: FaceMesh) -> None:
    grid, landmarks = head_grid(), load_template().vertices
    shell = fitted_shell(landmarks, 1.0)
    assert np.allclose(shell[grid.mirror], shell * (-1, 1, 1), atol=1e-5)
    triangles = {tuple(sorted(t)) for t in grid.triangles.tolist()}
    partner = np.concatenate(
        [load_template().mirror[:LANDMARK_COUNT], grid.mirror + LANDMARK_COUNT]
    )
    # Fans and rings of the collar may be cut along the other diagonal.
    mirrored = [tuple(sorted(partner[list(t)].tolist())) in triangles for t in triangles]
    assert np.mean(mirrored) > 0.95


def test_cells_are_pairs_of_triangles(head: FaceMesh) -> None:
    skin = head.triangles[head.triangle_material == head.materials.index("skin")]
    around = np.isin(head.vertex_part[skin], [head.part_names.index(n) for n in ("skull", "neck")])
    for triangles in (head_grid().triangles, skin[around.all(axis=1)]):
        pairs = triangles[: len(triangles) // 2 * 2].reshape(-1, 2, 3)
        shared = np.array([len(set(a) & set(b)) == 2 for a, b in pairs.tolist()])
        assert shared.mean() > 0.9


def test_the_head_has_human_measures(head: FaceMesh) -> None:
    skull = head.vertices[of_part(head, "skull")]
    face = head.vertices[:LANDMARK_COUNT]
    assert 0.14 < np.ptp(skull[:, 0]) < 0.17
    assert 0.18 < skull[:, 1].max() - face[9, 1] < 0.22
    assert 0.20 < skull[:, 2].max() - face[CHIN, 2] < 0.25
    ear = head.vertices[of_part(head, "left_ear")]
    assert 0.052 < np.ptp(ear[:, 2]) < 0.072 and 0.028 < np.ptp(ear[:, 1]) < 0.045
    # The auricle stands off the head.
    assert ear[:, 0].max() > skull[:, 0].max()


@pytest.mark.parametrize("name", ["wide", "long", "child", "uneven"])
def test_another_face_gets_a_fitting_head(odd_heads: dict[str, FaceMesh], head: FaceMesh,
                                          name: str) -> None:  # fmt: skip
    face = odd_heads[name]
    rim = list(FACE_OVAL)
    size = np.ptp(face.vertices[rim, 0]) / np.ptp(head.vertices[rim, 0])
    skull, mean = of_part(face, "skull"), of_part(head, "skull")
    wide = np.ptp(face.vertices[skull, 0]) / np.ptp(head.vertices[mean, 0])
    assert wide == pytest.approx(size, abs=0.06)
    # Ears stay ears: one size in all directions.
    rings = head_grid().ears[0][0][3:] - LANDMARK_COUNT
    ear = [
        np.ptp(
            fitted_shell(points, face_size(points) / face_size(head.vertices))[rings], axis=(0, 1)
        )
        for points in (mesh.vertices[:LANDMARK_COUNT].astype(np.float64) for mesh in (face, head))
    ]
    ratio = (ear[0] / ear[1])[1:]
    assert ratio[0] == pytest.approx(ratio[1], rel=0.06)
    # No kink at the rim: neighbours across it are bent about as much as on the mean face.
    assert _bend_at_rim(face) < _bend_at_rim(head) + 12


def _bend_at_rim(face: FaceMesh) -> float:
    """Largest angle between triangles over an edge of the rim, degrees (the 95th percentile)."""
    ring = set(FACE_OVAL)
    normal = np.cross(*(face.vertices[face.triangles[:, k]] - face.vertices[face.triangles[:, 0]]
                        for k in (1, 2)))  # fmt: skip
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    sides: dict[tuple[int, int], list[int]] = {}
    for index, corners in enumerate(face.triangles.tolist()):
        for a, b in ((0, 1), (1, 2), (2, 0)):
            edge = (min(corners[a], corners[b]), max(corners[a], corners[b]))
            if ring & set(edge):
                sides.setdefault(edge, []).append(index)
    angles = [
        np.degrees(np.arccos(np.clip(normal[s[0]] @ normal[s[1]], -1, 1)))
        for s in sides.values() if len(s) == 2
    ]  # fmt: skip
    return float(np.quantile(angles, 0.95))


def test_the_neck_follows_the_jaw_above_and_rests_below(head: FaceMesh) -> None:
    neck = of_part(head, "neck")
    points, drop = head.vertices[neck], head.shapes[:, neck]
    low = points[:, 2] < points[:, 2].max() - 0.085
    for name in ("jawOpen", "jawLeft", "jawForward", "mouthClose", "mouthShrugLower"):
        assert np.abs(drop[INDEX[name], low]).max() < 0.3 * MILLIMETRE, name
    chin = head.vertices[CHIN]
    under = (np.linalg.norm(points - chin, axis=1) < 0.02) & (np.abs(points[:, 0]) < 0.01)
    assert under.any() and (drop[INDEX["jawOpen"], under, 2] < -12 * MILLIMETRE).all()
    still = of_part(head, "left_ear", "right_ear")
    inner = np.abs(head.vertices[still, 0]) > 0.078
    assert np.abs(head.shapes[:, still[inner]]).max() < 0.1 * MILLIMETRE


def test_shares_of_the_rim_do_not_overshoot() -> None:
    rest = operators().motion.sum(axis=1)
    assert rest.min() > -0.15 and rest.max() < 1.15


def test_hair_lifts_the_scalp_alone() -> None:
    landmarks = template_neutral()
    shell = fitted_shell(landmarks, 1.0)
    points = np.zeros((478, 2))
    points[:468] = landmarks[:, [0, 2]] * (2500, -2500) + (416, 560)
    everyone = np.ones((1024, 832))
    crop = PhotoCrop(np.zeros((1024, 832, 3), np.uint8), everyone, points, np.full(3, 150.0))
    haired = with_hair(landmarks, shell, crop)
    lifted = np.linalg.norm(haired - shell, axis=1)
    assert lifted.max() > 8 * MILLIMETRE
    grid = head_grid()
    for name in ("neck", "left_ear", "right_ear"):
        assert not lifted[grid.part[name]].any(), name
    assert not lifted[scalp() == 0].any()
    assert np.array_equal(with_hair(landmarks, shell, None), shell)
    # Smooth: neighbours are lifted alike.
    sides = np.concatenate([grid.triangles[:, [0, 1]], grid.triangles[:, [1, 2]]])
    own = sides[(sides >= LANDMARK_COUNT).all(axis=1)] - LANDMARK_COUNT
    length = np.linalg.norm(shell[own[:, 0]] - shell[own[:, 1]], axis=1)
    step = np.abs(lifted[own[:, 0]] - lifted[own[:, 1]])
    assert (step / np.maximum(length, 0.004)).max() < 0.9


def _both(stem: str, weight: float) -> dict[str, float]:
    return {stem + "Left": weight, stem + "Right": weight}


CLOSED = {
    "rest": {}, "smile": _both("mouthSmile", 1.0), "pucker": {"mouthPucker": 1.0},
    "press": _both("mouthPress", 1.0), "sealed": {"jawOpen": 0.5, "mouthClose": 0.5},
    "dimple": _both("mouthDimple", 1.0),
}  # fmt: skip
OPEN = {
    "jaw": {"jawOpen": 1.0}, "funnel": {"mouthFunnel": 1.0}, "roll": {"mouthRollLower": 1.0},
    "roll up": {"mouthRollUpper": 1.0}, "teeth": COMBINATIONS["smile, teeth"],
    "ee": COMBINATIONS["ee"],
}  # fmt: skip


@pytest.mark.parametrize("name", CLOSED)
def test_nothing_shows_between_closed_lips(head: FaceMesh, name: str) -> None:
    assert shown(head, CLOSED[name], INSIDE, mouth_ring())[0] == 0


@pytest.mark.parametrize("name", OPEN)
@pytest.mark.parametrize("yaw", [0.0, 35.0])
def test_what_is_inside_shows_between_the_lips_only(head: FaceMesh, name: str, yaw: float) -> None:
    assert shown(head, OPEN[name], INSIDE[:4], mouth_ring(), yaw)[1] == 0


def test_a_smile_shows_the_upper_teeth(head: FaceMesh) -> None:
    upper = shown(head, OPEN["teeth"], ("upper_teeth",), mouth_ring())[0]
    gum = shown(head, OPEN["teeth"], ("upper_gum", "lower_gum"), mouth_ring())[0]
    lower = shown(head, OPEN["teeth"], ("lower_teeth",), mouth_ring())[0]
    assert upper > 60 and upper > 2 * lower and gum < 0.3 * upper


@pytest.mark.parametrize("look", ["Up", "Down", "In", "Out"])
def test_lids_cover_the_eyes(head: FaceMesh, look: str) -> None:
    eyes = _both("eyeLook" + look, 1.0)
    for lids in ({}, _both("eyeSquint", 1.0), _both("eyeWide", 1.0)):
        for side in ("left", "right"):
            assert shown(head, {**eyes, **lids}, (side + "_eye",), lid_ring(side))[1] <= 2
    # A gaze also moves the lids slightly, so together with it a blink may leave a slit.
    blink = _both("eyeBlink", 1.0)
    for yaw in (0.0, 40.0):
        assert shown(head, blink, ("left_eye", "right_eye"), lid_ring("left"), yaw)[0] == 0
    assert shown(head, {**eyes, **blink}, ("left_eye",), lid_ring("left"))[1] == 0
