# SPDX-License-Identifier: GPL-3.0-or-later
"""Texture coordinates of a whole head.

Face and skull are projected from the centre of the head (latitude and longitude), with the front
enlarged and the seam at the back; the neck likewise from its axis. The crown and the surface that
closes the mesh below are discs of their own, so that nothing is pinched at a pole; an ear is
flattened within its root by a Tutte embedding. The inner edges of lips and lids, which the
projection hides, are folded out into the openings of mouth and eyes.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.sparse.linalg import spsolve

from backend.face.head.eyes import lid_ring
from backend.face.head.mouth import mouth_ring
from backend.face.head.parts import Assembly
from backend.face.texture import atlas
from backend.face.texture.atlas import around_head
from backend.face.texture.layout_file import EARS, ISLANDS
from shared.arkit import INDEX
from shared.landmarks import CHIN, NOSE_TIP

# The painted tile of each part other than skin.
TILE_OF_PART = {
    "right_eye": "right_eye", "left_eye": "left_eye", "tongue": "tongue", "mouth_bag": "mouth",
    "upper_teeth": "upper_teeth", "upper_gum": "upper_teeth",
    "lower_teeth": "lower_teeth", "lower_gum": "lower_teeth",
}  # fmt: skip

# The centre of the projection, metres on the template.
MIDDLE = np.array((0.0, 0.014, 0.020))
# Latitudes at which the head island ends, degrees: above, and below in front and behind.
CROWN_FROM = 51.0
NECK_FROM = (-58.0, -44.0)
# Closed lips leave no room for their inner edges, so the layout is made with the lips apart.
PARTED = {"mouthUpperUpLeft": 0.9, "mouthUpperUpRight": 0.9,
          "mouthLowerDownLeft": 1.0, "mouthLowerDownRight": 1.0}  # fmt: skip


def islands(mesh: Assembly) -> Int32[np.ndarray, " F"]:
    """Which of `ISLANDS` each triangle belongs to."""
    result = np.full(len(mesh.triangles), ISLANDS.index("head"), np.int32)
    # Where a triangle's corners belong to different parts, the majority decides, else the median.
    part = np.sort(mesh.vertex_part[mesh.triangles], axis=1)[:, 1]
    centre = mesh.vertices[mesh.triangles].mean(axis=1)
    height = np.degrees(_globe(centre)[:, 1])
    normal = _triangle_normals(mesh)
    closing = np.zeros(len(result), bool)
    for index, name in enumerate(mesh.part_names):
        mine = part == index
        if name in TILE_OF_PART:
            result[mine] = ISLANDS.index("painted")
        elif name in EARS:
            # Triangles touching an ear are laid out with it, so that its border runs along a ring.
            ear = (mesh.vertex_part[mesh.triangles] == index).any(axis=1)
            result[ear] = ISLANDS.index(name)
        elif name == "neck":
            lower_half = centre[:, 2] < np.mean([centre[mine, 2].min(), mesh.vertices[CHIN, 2]])
            closing |= mine & lower_half & (normal[:, 2] < -0.6)
        elif name == "skull":
            result[mine & (result == 0) & (height > CROWN_FROM)] = ISLANDS.index("crown")
    # Far below, the projection would become narrow, and it does not see the neck.
    azimuth = _globe(centre)[:, 0]
    low = (result == ISLANDS.index("head")) & (height < _neck_begins(azimuth))
    result[low] = ISLANDS.index("neck")
    result[closing] = ISLANDS.index("below")
    return result


def corner_uvs(mesh: Assembly) -> Float64[np.ndarray, "F 3 2"]:
    """Texture coordinates of all triangles' corners, v upwards.

    The layout is made for one head and used for all with the same triangles, so that every texel
    is the same point on each of them.
    """
    island = islands(mesh)
    uvs = np.zeros((len(mesh.triangles), 3, 2))
    parted = mesh.vertices + np.tensordot(
        np.array(list(PARTED.values())), mesh.shapes[[INDEX[name] for name in PARTED]], axes=1
    )
    for name in ISLANDS:
        mine = island == ISLANDS.index(name)
        if not mine.any():
            continue
        triangles = mesh.triangles[mine]
        if name == "painted":
            uvs[mine] = _painted(mesh, triangles)
        elif name == "head":
            uvs[mine] = _head(parted, triangles)
        elif name == "neck":
            above = np.unique(mesh.triangles[island == ISLANDS.index("head")])
            uvs[mine] = _neck(mesh.vertices, triangles, above.astype(np.int64))
        elif name in EARS:
            tile = atlas.RIGHT_EAR if name == "right_ear" else atlas.LEFT_EAR
            uvs[mine] = _ear(mesh.vertices, triangles, tile)
        else:
            tile = atlas.CROWN if name == "crown" else atlas.BELOW
            uvs[mine] = _disc(mesh.vertices, triangles, tile)
    return uvs


def _painted(mesh: Assembly, triangles: Int32[np.ndarray, "F 3"]) -> Float64[np.ndarray, "F 3 2"]:
    uvs = np.zeros((len(triangles), 3, 2))
    part = mesh.vertex_part[triangles[:, 0]]
    for index, name in enumerate(mesh.part_names):
        mine = part == index
        if name in TILE_OF_PART and mine.any():
            at = mesh.uvs[triangles[mine]]
            uvs[mine] = atlas.PAINTED[TILE_OF_PART[name]].uv(at[..., 0], at[..., 1])
    return uvs


def _triangle_normals(mesh: Assembly) -> Float64[np.ndarray, "F 3"]:
    a, b, c = (mesh.vertices[mesh.triangles[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    return np.asarray(normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12))


def _globe(points: Float64[np.ndarray, "N 3"]) -> Float64[np.ndarray, "N 2"]:
    """Azimuth (0 in front, + to the character's left) and elevation in radians."""
    away = points - MIDDLE
    out = np.hypot(away[:, 0], away[:, 1])
    return np.stack([np.arctan2(away[:, 0], -away[:, 1]), np.arctan2(away[:, 2], out)], axis=1)


def _once_round(azimuth: Float64[np.ndarray, "F 3"]) -> Float64[np.ndarray, "F 3"]:
    """Corners' azimuths, without a jump inside triangles that cross the seam."""
    cut = np.ptp(azimuth, axis=1) > np.pi
    # Equally many go to either side of the seam, to keep the layout symmetric.
    left = np.where(azimuth < 0, azimuth + 2 * np.pi, azimuth)
    right = left - 2 * np.pi
    to_left = left.mean(axis=1) < np.pi
    there = np.where(to_left[:, None], left, right)
    return np.where(cut[:, None], there, azimuth)


def _laid_into(
    tile: atlas.Tile, flat: Float64[np.ndarray, "*batch 2"], bounds: Float64[np.ndarray, "2 2"]
) -> Float64[np.ndarray, "*batch 2"]:
    """Points (across, up) within `bounds` (low, high) as texture coordinates of the tile."""
    low, high = bounds
    share = (flat - low) / (high - low)
    return tile.uv(share[..., 0], share[..., 1])


def _head(
    vertices: Float64[np.ndarray, "V 3"], triangles: Int32[np.ndarray, "F 3"]
) -> Float64[np.ndarray, "F 3 2"]:
    globe = _globe(vertices)
    flat = np.stack([around_head(globe[:, 0]), globe[:, 1]], axis=1)
    folds = [
        _fold_out(flat, vertices, triangles, ring)
        for ring in (mouth_ring(), lid_ring("left"), lid_ring("right"))
    ]
    # Where the centre of the head does not see the surface (wings of the nose), it is unfolded.
    front = np.abs(globe[:, 0]) < 2.4
    front[np.concatenate(folds)] = False
    # Azimuth and height in one unit.
    unit = np.array((2 * np.pi, 1.0))
    flat = _unfolded(flat * unit, triangles, front) / unit
    corners = flat[triangles]
    across = _once_round(globe[:, 0][triangles])
    back = np.abs(across).max(axis=1) > 2.4
    corners[back, :, 0] = around_head(across[back])
    return _laid_into(atlas.HEAD, corners, _symmetric_bounds(corners))


def _neck_begins(azimuth: Float64[np.ndarray, " N"]) -> Float64[np.ndarray, " N"]:
    front, back = NECK_FROM
    return np.asarray((front + back) / 2 + (front - back) / 2 * np.cos(azimuth))


def _neck(
    vertices: Float64[np.ndarray, "V 3"],
    triangles: Int32[np.ndarray, "F 3"],
    above: Int64[np.ndarray, " N"],
) -> Float64[np.ndarray, "F 3 2"]:
    """Across by azimuth, down harmonically from the border with the head (`above`) to the lower.

    A collar may run outward rather than down, so the height in space would not do.
    """
    azimuth = _globe(vertices)[:, 0]
    border = np.concatenate(_borders(triangles))
    upper = np.intersect1d(border, above)
    height = np.zeros((len(vertices), 2))
    height[upper] = 1.0
    held = np.unique(border)
    flat = np.stack([azimuth, _drum_skin(height, triangles, held, None)[:, 0]], axis=1)
    corners = flat[triangles]
    corners[..., 0] = _once_round(azimuth[triangles])
    corners[..., 0] = around_head(corners[..., 0])
    return _laid_into(atlas.NECK, corners, _symmetric_bounds(corners))


def _symmetric_bounds(corners: Float64[np.ndarray, "F 3 2"]) -> Float64[np.ndarray, "2 2"]:
    low, high = corners.min(axis=(0, 1)), corners.max(axis=(0, 1))
    side = max(-low[0], high[0])
    return np.array([(-side, low[1]), (side, high[1])])


def _disc(
    vertices: Float64[np.ndarray, "V 3"], triangles: Int32[np.ndarray, "F 3"], tile: atlas.Tile
) -> Float64[np.ndarray, "F 3 2"]:
    """A cap in azimuthal projection from above (or below), equidistant; the front is below."""
    used = np.unique(triangles)
    globe = _globe(vertices)
    above = globe[used, 1].mean() > 0
    if above:
        away = np.pi / 2 - globe[:, 1]
    else:
        # The surface that closes a neck is flat.
        away = np.hypot(vertices[:, 0], vertices[:, 1] - vertices[used, 1].mean())
    azimuth = globe[:, 0]
    if not above:
        azimuth = np.arctan2(vertices[:, 0], vertices[used, 1].mean() - vertices[:, 1])
    flat = away[:, None] * np.stack([np.sin(azimuth), -np.cos(azimuth)], axis=1)
    reach = np.abs(flat[used]).max()
    return _laid_into(tile, flat[triangles], np.array([(-reach, -reach), (reach, reach)]))


def _ear(
    vertices: Float64[np.ndarray, "V 3"], triangles: Int32[np.ndarray, "F 3"], tile: atlas.Tile
) -> Float64[np.ndarray, "F 3 2"]:
    """An ear is a pouch over its root: the root's outline becomes the tile's rim.

    Every other vertex lies at the mean of its neighbours (Tutte, "How to draw a graph", 1963),
    so nothing overlaps. Neighbours weigh more the smaller the triangles would become.
    """
    root = _outer_loop(vertices, triangles)
    centre = vertices[root].mean(axis=0)
    side = 1.0 if centre[0] > 0 else -1.0
    # Seen from its own side, a left ear has its front on the left.
    seen = (vertices[root] - centre)[:, [1, 2]] * (side, 1.0)
    turn = np.unwrap(np.arctan2(seen[:, 1], seen[:, 0]))
    way = np.sign(turn[-1] - turn[0])
    # Along the rim by length, so that folds of the root do not fold the map.
    step = np.linalg.norm(np.diff(vertices[np.append(root, root[0])], axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(step)[:-1]]) / step.sum()
    angle = turn[0] + way * along * 2 * np.pi
    flat = np.zeros((len(vertices), 2))
    flat[root] = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    weights: NDArray[np.float64] | None = None
    for _ in range(EAR_ROUNDS):
        flat = _drum_skin(flat, triangles, root, weights)
        weights = _evened(flat, vertices, triangles, weights)
    return _laid_into(tile, flat[triangles], np.array([(-1.0, -1.0), (1.0, 1.0)]))


EAR_ROUNDS = 8


def _evened(
    flat: Float64[np.ndarray, "V 2"],
    vertices: Float64[np.ndarray, "V 3"],
    triangles: Int32[np.ndarray, "F 3"],
    before: Float64[np.ndarray, "F 3"] | None,
) -> Float64[np.ndarray, "F 3"]:
    """Edge weights per triangle that give compressed triangles more room.

    Follows Yoshizawa, Belyaev, Seidel, "A fast and simple stretch-minimizing mesh
    parameterization", 2004: what is stretched too little pulls less.
    """
    solid = _areas(vertices[triangles])
    plane = np.maximum(np.abs(_signed_areas(flat[triangles])), 1e-9)
    stretch = np.sqrt(solid / solid.sum() / (plane / plane.sum()))
    start = np.ones((len(triangles), 3)) if before is None else before
    weights = start / np.clip(stretch, 0.2, 5.0)[:, None] ** 0.6
    return np.asarray(weights / weights.mean())


def _areas(corners: Float64[np.ndarray, "F 3 3"]) -> Float64[np.ndarray, " F"]:
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return np.asarray(np.linalg.norm(cross, axis=1) / 2)


def _signed_areas(corners: Float64[np.ndarray, "F 3 2"]) -> Float64[np.ndarray, " F"]:
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return np.asarray((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]) / 2)


def _edges(
    triangles: Int32[np.ndarray, "F 3"],
) -> tuple[Int64[np.ndarray, " E"], Int64[np.ndarray, " E"]]:
    """Both ends of every triangle's three edges."""
    first = triangles.T.ravel().astype(np.int64)
    second = triangles[:, [1, 2, 0]].T.ravel().astype(np.int64)
    return first, second


def _drum_skin(
    flat: Float64[np.ndarray, "V 2"],
    triangles: Int32[np.ndarray, "F 3"],
    held: Int64[np.ndarray, " N"],
    weights: Float64[np.ndarray, "F 3"] | None,
) -> Float64[np.ndarray, "V 2"]:
    """Move all but the `held` vertices to the weighted mean of their neighbours."""
    first, second = _edges(triangles)
    value = np.ones(len(first)) if weights is None else weights.T.ravel()
    count = len(flat)
    graph = csr_matrix((value, (first, second)), shape=(count, count))
    graph = graph + graph.T
    free = np.setdiff1d(np.unique(triangles), held)
    matrix = diags(np.asarray(graph.sum(axis=1)).ravel()) - graph
    rows = csr_matrix(matrix)[free]
    right = -rows[:, held] @ flat[held]
    result = flat.copy()
    result[free] = spsolve(rows[:, free].tocsc(), right)
    return result


def _outer_loop(
    vertices: Float64[np.ndarray, "V 3"], triangles: Int32[np.ndarray, "F 3"]
) -> Int64[np.ndarray, " N"]:
    """The longest boundary loop of a piece of mesh."""
    loops = _borders(triangles)

    def length(loop: Int64[np.ndarray, " N"]) -> float:
        ring = vertices[np.append(loop, loop[0])]
        return float(np.linalg.norm(np.diff(ring, axis=0), axis=1).sum())

    return max(loops, key=length)


def _borders(triangles: Int32[np.ndarray, "F 3"]) -> list[Int64[np.ndarray, " _"]]:
    """The boundary loops of a piece of mesh."""
    first, second = _edges(triangles)
    there = set(zip(first.tolist(), second.tolist(), strict=True))
    following = {a: b for a, b in there if (b, a) not in there}
    loops = []
    while following:
        start, at = following.popitem()
        loop = [start]
        while at != start and at in following:
            loop.append(at)
            at = following.pop(at)
        loops.append(np.array(loop, np.int64))
    return loops


def _fold_out(
    flat: Float64[np.ndarray, "V 2"],
    vertices: Float64[np.ndarray, "V 3"],
    triangles: Int32[np.ndarray, "F 3"],
    ring: list[int],
) -> Int64[np.ndarray, " N"]:
    """Lay the skin that runs inward from a ring of landmarks into the opening that it encloses.

    Changes `flat` in place; returns the vertices that were laid.
    """
    first, second = _edges(triangles)
    count = len(vertices)
    # Pieces of skin may differ in winding order, so an edge may occur twice.
    once = np.unique(first * count + second)
    first, second = once // count, once % count
    length = np.linalg.norm(vertices[first] - vertices[second], axis=1)
    graph = csr_matrix((np.maximum(length, 1e-9), (first, second)), shape=(count, count))
    crease = _along(graph.maximum(graph.T), ring)
    inside = np.ones(count, bool)
    inside[crease] = False
    keep = inside[first] & inside[second]
    _, label = connected_components(
        csr_matrix((np.ones(keep.sum()), (first[keep], second[keep])), shape=(count, count)), False
    )
    touching = np.unique(second[~inside[first] & inside[second]])
    fold = np.flatnonzero(np.isin(label, np.setdiff1d(label[touching], label[NOSE_TIP])) & inside)
    if not len(fold):
        return fold
    own = triangles[np.isin(triangles, fold).any(axis=1)]
    # A fan of triangles closes the opening: its apex is the centre and keeps the folds apart.
    tip = count
    closing = [
        (b, a, tip)
        for loop in _borders(own)
        if np.isin(loop, fold).all()
        for a, b in zip(loop.tolist(), np.roll(loop, -1).tolist(), strict=True)
    ]
    drum = np.concatenate([own, np.array(closing, np.int32).reshape(-1, 3)])
    held = np.array(crease)
    flat[:] = _drum_skin(np.concatenate([flat, np.zeros((1, 2))]), drum, held, None)[:-1]
    return fold


def _along(graph: csr_matrix, ring: list[int]) -> list[int]:
    """The vertices on the shortest path along the edges from landmark to landmark of the ring."""
    _, before = dijkstra(graph, indices=ring, return_predecessors=True, limit=0.05)
    way: list[int] = []
    for k, end in enumerate(ring[1:] + ring[:1]):
        at = end
        while at != ring[k]:
            way.append(at)
            at = int(before[k, at])
    return way


def _unfolded(
    flat: Float64[np.ndarray, "V 2"],
    triangles: Int32[np.ndarray, "F 3"],
    movable: Bool[np.ndarray, " V"],
) -> Float64[np.ndarray, "V 2"]:
    """Smooth a layout around flipped triangles until there are none."""
    first, second = _edges(triangles)
    count = len(flat)
    graph = csr_matrix((np.ones(len(first)), (first, second)), shape=(count, count))
    graph = graph.maximum(graph.T)
    mean = diags(1.0 / np.maximum(np.asarray(graph.sum(axis=1)).ravel(), 1.0)) @ graph
    border = np.zeros(count, bool)
    for loop in _borders(triangles):
        border[loop] = True
    flat = flat.copy()
    enough = 0.2 * np.median(np.abs(_signed_areas(flat[triangles])))
    for _ in range(200):
        thin = _signed_areas(flat[triangles]) * _turn_of(flat, triangles) < enough
        thin &= movable[triangles].all(axis=1)
        if not thin.any():
            break
        move = np.zeros(count, bool)
        move[triangles[thin]] = True
        move &= movable & ~border
        flat[move] = 0.5 * flat[move] + 0.5 * (mean @ flat)[move]
    return flat


def _turn_of(flat: Float64[np.ndarray, "V 2"], triangles: Int32[np.ndarray, "F 3"]) -> float:
    """+1 where most triangles are counter-clockwise in the layout, else -1."""
    return float(np.sign(np.sum(np.sign(_signed_areas(flat[triangles])))))
