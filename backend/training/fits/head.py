# SPDX-License-Identifier: GPL-3.0-or-later
"""Make `backend/models/head_shell.safetensors`: skull, neck and ears around the mean face.

    python -m backend.training.fits.head ICT_FACEKIT.npz ARKIT52_ON_LANDMARKS468.npz MPFB.npz

The heads are aligned to the face template by their landmarks; then the grid of
`backend.face.head.head_grid` is laid over the first one, relaxed on its surface, moved to the mean
of both and made symmetric. The ears' relief is sampled from a side view of the first head. The file
contains points on those surfaces at which our own grid samples them; no vertex of theirs is copied.

The fit takes half a minute on one core, too long for a test: its steps and the ear have tests.
After changing it, run it and compare the result with the shipped file (the same to 1e-8 m).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64, Int, Int32
from safetensors.numpy import save_file
from scipy.sparse import csr_matrix, identity
from scipy.sparse.linalg import spsolve
from scipy.spatial import cKDTree

from backend.face.head.head_grid import COLUMNS, ROWS, HeadGrid, head_grid
from backend.face.head.head_shape import SHELL_PATH
from backend.face.head.head_shell import bending
from backend.face.pose import fit_similarity
from backend.face.surface import vertex_normals
from backend.face.template import load_template
from shared.landmarks import CHIN, FACE_OVAL, FOREHEAD, LANDMARK_COUNT
from shared.whole_files import written_whole

from .ear import Ear, fit_ear

ICT_SKIN = 11_248  # its first vertices are face, head and neck
# Share of the first head in the mean shape; below this height it is used alone, because the two
# heads' necks and shoulders are posed differently.
FIRST_HEAD = 0.6
NECK_FROM, NECK_TO = -0.055, -0.025
# How far the template's outline pulls the heads' surface along, metres.
PULL_REACH = 0.040
# Height of the collar, metres: middle of the back, sides, middle of the front.
COLLAR = (-0.110, -0.106, -0.130)
COLLAR_AXIS = 0.044
COLLAR_HALF_WIDTH = 0.094
# Rows that are faired to continue the face smoothly: at the crown, the ears, the chin.
FAIR_ROWS = (1, 1, 2)
# Spring strength between the first rows below the temples, by row; 1 elsewhere.
FIRST_PULLS = {0: 0.40, 1: 0.50, 2: 0.65, 3: 0.8}
# Rounds of relaxation of the grid on the surface.
ROUNDS = 400


@dataclass(frozen=True, eq=False)
class Head:
    """A head's skin: vertices in metres in our axes."""

    vertices: Float64[np.ndarray, "V 3"]
    triangles: Int32[np.ndarray, "F 3"]


def to_axes(points: Float64[np.ndarray, "N 3"]) -> Float64[np.ndarray, "N 3"]:
    """From a head with +Y up that looks along +Z to our axes."""
    return np.asarray(points[:, [0, 2, 1]] * (1, -1, 1), np.float64)


def split_quads(quads: Int[np.ndarray, "N 4"]) -> Int32[np.ndarray, "F 3"]:
    """Quads as triangles; a fourth corner of -1 marks a triangle."""
    whole = quads[quads[:, 3] >= 0]
    return np.concatenate([quads[:, :3], whole[:, [0, 2, 3]]]).astype(np.int32)


def read_ict(path: Path, places: Path) -> tuple[Head, Float64[np.ndarray, "468 3"]]:
    """The ICT head, and the landmarks on its surface, metres."""
    with np.load(path, allow_pickle=False) as file:
        vertices = to_axes(file["neutral"].astype(np.float64)) / 100.0
        faces = file["faces"]
    with np.load(places, allow_pickle=False) as file:
        corners, share = file["ict_triangles"], file["barycentric"].astype(np.float64)
    skin = faces[faces.max(axis=1) < ICT_SKIN]
    head = Head(vertices[:ICT_SKIN], split_quads(skin))
    return head, (vertices[corners] * share[..., None]).sum(axis=1)


def read_mpfb(path: Path) -> Head:
    """Head and shoulders of the MakeHuman base mesh."""
    with np.load(path, allow_pickle=False) as file:
        vertices = to_axes(file["vertices"].astype(np.float64)) / 10.0
        triangles = split_quads(file["body_quads"])
    near = vertices[:, 2] > vertices[:, 2].max() - 0.36
    return Head(vertices, triangles[near[triangles].all(axis=1)])


def samples(head: Head, spacing: float = 0.0012) -> Float64[np.ndarray, "N 3"]:
    """Points all over a head's surface, about `spacing` metres apart."""
    a, b, c = (head.vertices[head.triangles[:, k]] for k in range(3))
    longest = np.maximum(np.linalg.norm(b - a, axis=1), np.linalg.norm(c - a, axis=1))
    points = []
    steps = np.clip(np.ceil(longest / spacing).astype(int), 1, 40)
    for count in np.unique(steps):
        which = steps == count
        for i in range(count + 1):
            for j in range(count + 1 - i):
                u, v = i / count, j / count
                points.append(a[which] * (1 - u - v) + b[which] * u + c[which] * v)
    return np.concatenate(points)


def pulled(
    points: Float64[np.ndarray, "N 3"],
    sources: Float64[np.ndarray, "M 3"],
    offsets: Float64[np.ndarray, "M 3"],
    reach: float,
) -> Float64[np.ndarray, "N 3"]:
    """`points` moved by the offsets at `sources`, blended by distance and fading out."""
    result = points.copy()
    for start in range(0, len(points), 4000):
        part = slice(start, start + 4000)
        away = np.linalg.norm(points[part, None] - sources[None], axis=-1)
        weight = np.exp(-((away / reach) ** 2))
        result[part] += (weight @ offsets) / (weight.sum(axis=1, keepdims=True) + 0.08)
    return result


def onto_template(head: Head, landmarks: Float64[np.ndarray, "468 3"]) -> Head:
    """The head moved and scaled so that its face lies on the template's, rim included."""
    template = load_template()
    move = fit_similarity(landmarks, template.vertices, template.rigidity[:LANDMARK_COUNT])
    return to_rim(Head(move.apply(head.vertices), head.triangles))


def to_rim(head: Head) -> Head:
    """The head with its skin brought to the template's outline.

    Landmarks on the outline slide along it: they say how far out the skin is, but not which point
    of it they mark.
    """
    vertices, rim = head.vertices, load_template().vertices[list(FACE_OVAL)]
    for _ in range(6):
        surface = samples(Head(vertices, head.triangles), 0.002)
        nearest = surface[cKDTree(surface).query(rim)[1]]
        vertices = pulled(vertices, nearest, rim - nearest, PULL_REACH)
    return Head(vertices, head.triangles)


def register(head: Head, target: Head) -> Head:
    """`head` aligned to `target` by iterative closest points of the upper head."""
    vertices = head.vertices.copy()
    shift = target.vertices[:, 2].max() - vertices[:, 2].max()
    vertices += (0.0, np.median(target.vertices[:, 1]), shift)
    crown = vertices[:, 2] > target.vertices[:, 2].max() - 0.12
    vertices[:, 1] += target.vertices[:, 1].mean() - vertices[crown, 1].mean()
    goal = samples(target, 0.0025)
    tree = cKDTree(goal)
    used = np.unique(head.triangles)
    for _ in range(60):
        chosen = used[vertices[used, 2] > -0.075]
        away, nearest = tree.query(vertices[chosen])
        close = away < max(0.006, float(np.quantile(away, 0.85)))
        source, place = vertices[chosen][close], goal[nearest[close]]
        vertices = fit_similarity(source, place, np.ones(len(source))).apply(vertices)
    return to_rim(Head(vertices, head.triangles))


def without(head: Head, ear: Ear, grow: float) -> Head:
    """The head without the triangles within the ears' outlines scaled by `grow`."""
    beside = head.vertices.copy()
    beside[:, 0] = np.abs(beside[:, 0])
    inside = ear.inside(beside, grow)
    return Head(head.vertices, head.triangles[~inside[head.triangles].all(axis=1)])


def middle_line(head: Head) -> tuple[Float64[np.ndarray, "N 3"], Float64[np.ndarray, "M 3"]]:
    """The mid-sagittal outline from rim to collar: over the crown, and down the throat."""
    points = samples(head, 0.001)
    points = points[np.abs(points[:, 0]) < 0.0012]
    rim = load_template().vertices
    over = _traced(points, (0.0, 0.02, 0.04), rim[FOREHEAD], COLLAR[0], backward=True)
    under = _traced(points, (0.0, 0.03, -0.10), rim[CHIN], COLLAR[2], backward=False)
    return over, under


def _traced(
    points: Float64[np.ndarray, "N 3"],
    centre: tuple[float, float, float],
    start: Float64[np.ndarray, " 3"],
    low: float,
    backward: bool,
) -> Float64[np.ndarray, "M 3"]:
    """Points of the mid-sagittal outline, ordered from `start` down to the height `low`."""
    side = points[:, 1] > 0.055 if backward else points[:, 1] < 0.055
    if backward:
        side |= points[:, 2] > start[2] - 0.002
    else:
        side &= points[:, 2] < start[2] + 0.002
    chosen = points[side & (points[:, 2] > low)]
    if backward:
        upper = chosen[chosen[:, 2] > centre[2]]
        angle = np.arctan2(upper[:, 1] - centre[1], upper[:, 2] - centre[2])
        rest = chosen[chosen[:, 2] <= centre[2]]
        path = np.concatenate([upper[np.argsort(angle)], rest[np.argsort(-rest[:, 2])]])
        path = path[np.argmin(np.linalg.norm(path - start, axis=1)) :]
    else:
        # Along the floor of the chin backward, then down the throat.
        key = chosen[:, 1] * 0.4 - chosen[:, 2]
        path = chosen[np.argsort(key)]
    path = np.concatenate([[start], path])
    kept = [path[0]]
    for point in path:
        if np.linalg.norm(point - kept[-1]) > 0.003:
            kept.append(point)
    return np.array(kept)


def along(
    path: Float64[np.ndarray, "N 3"], shares: Float64[np.ndarray, " M"]
) -> Float64[np.ndarray, "M 3"]:
    """Points at given fractions of the length of a polyline."""
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    return np.stack([np.interp(shares * length[-1], length, path[:, k]) for k in range(3)], axis=-1)


def collar_ring(head: Head) -> Float64[np.ndarray, "36 3"]:
    """Where the neck ends; column 0 is at the back."""
    angle = 2 * np.pi * np.arange(COLUMNS) / COLUMNS
    back, side, front = COLLAR
    middle = np.where(np.cos(angle) > 0, back, front)
    height = side + (middle - side) * np.abs(np.cos(angle)) ** 1.5
    points = samples(head, 0.0015)
    ring = np.empty((COLUMNS, 3))
    for k in range(COLUMNS):
        way = np.array((np.sin(angle[k]), np.cos(angle[k])))
        flat = points[:, :2] - (0.0, COLLAR_AXIS)
        ahead, beside = flat @ way, flat @ (way[1], -way[0])
        near = (np.abs(points[:, 2] - height[k]) < 0.002) & (ahead > 0) & (np.abs(beside) < 0.004)
        if not near.any():
            ring[k] = np.nan
            continue
        out = np.median(ahead[near])
        ring[k] = (*(way * min(out, COLLAR_HALF_WIDTH) + (0.0, COLLAR_AXIS)), height[k])
    known = ~np.isnan(ring[:, 0])
    for axis in range(3):
        ring[:, axis] = np.interp(np.arange(COLUMNS), np.flatnonzero(known), ring[known, axis])
    for _ in range(2):
        ring = (np.roll(ring, 1, axis=0) + 2 * ring + np.roll(ring, -1, axis=0)) / 4
    return ring


def neighbour_mean(grid: HeadGrid) -> tuple[csr_matrix, Bool[np.ndarray, " V"]]:
    """The matrix that averages grid neighbours, and which vertices have any."""
    size = LANDMARK_COUNT + grid.count
    pairs: list[tuple[int, int]] = []
    strength: list[float] = []
    for row in range(ROWS + 1):
        for column in range(COLUMNS):
            here = int(grid.rows[row, column])
            sides = [(int(grid.rows[row, (column + 1) % COLUMNS]), 1.0)]
            if row < ROWS:
                # The face's triangles are large; the first cells behind it should be large as well.
                low = np.clip((min(column, COLUMNS - column) - 6) / 4, 0, 1)
                pull = 1.0 + low * (FIRST_PULLS.get(row, 1.0) - 1.0)
                sides.append((int(grid.rows[row + 1, column]), pull))
            for other, pull in sides:
                if min(here, other) >= 0:
                    pairs += [(here, other), (other, here)]
                    strength += [pull, pull]
    first, second = np.array(pairs).T
    matrix = csr_matrix((strength, (first, second)), shape=(size, size))
    degree = np.asarray(matrix.sum(axis=1)).ravel()
    scale = csr_matrix((1 / np.maximum(degree, 1e-6), (np.arange(size),) * 2), shape=(size, size))
    return csr_matrix(scale @ matrix), degree > 0


def lay_grid(head: Head, ear: Ear) -> Float64[np.ndarray, "V 3"]:
    """The grid on a head's surface after the 468 landmarks; ears and floor are not set yet."""
    grid = head_grid()
    points = np.zeros((LANDMARK_COUNT + grid.count, 3))
    points[:LANDMARK_COUNT] = load_template().vertices
    collar = collar_ring(head)
    bare = without(head, ear, 1.0)
    over, under = middle_line(bare)
    shares = np.linspace(0, 1, ROWS + 1)
    points[grid.rows[1:, 0]] = along(np.concatenate([over, collar[:1]]), shares)[1:]
    middle = COLUMNS // 2
    points[grid.rows[1:, middle]] = along(np.concatenate([under, collar[[middle]]]), shares)[1:]
    points[grid.rows[-1]] = collar
    fixed = np.zeros(len(points), bool)
    fixed[:LANDMARK_COUNT] = True
    for ring in (grid.rows[-1], grid.rows[:, 0], grid.rows[:, middle]):
        fixed[ring] = True
    border = ear.border()
    for (rings, _), sign in zip(grid.ears, (1, -1), strict=True):
        points[rings[0]] = border * (sign, 1, 1)
        fixed[rings[0]] = True
    mean, used = neighbour_mean(grid)
    free = used & ~fixed
    system = identity(len(points), format="csr") - mean
    right = -(system[free][:, ~free] @ points[~free])
    points[free] = np.asarray(spsolve(system[free][:, free].tocsc(), right))
    surface = samples(bare)
    tree = cKDTree(surface)
    # From now on the middle columns may slide along the middle.
    for ring in (grid.rows[1:-1, 0], grid.rows[1:-1, middle]):
        free[ring] = True
    for _ in range(ROUNDS):
        points[free] += 0.6 * ((mean @ points) - points)[free]
        # Back onto the surface, wherever the sheet has sunk in.
        points[free] = surface[tree.query(points[free])[1]]
        points = symmetric(points, grid)
    return points


def symmetric(points: Float64[np.ndarray, "V 3"], grid: HeadGrid) -> Float64[np.ndarray, "V 3"]:
    """The points with both sides averaged."""
    own = points[LANDMARK_COUNT:]
    result = points.copy()
    result[LANDMARK_COUNT:] = (own + own[grid.mirror] * (-1, 1, 1)) / 2
    return result


def smoothed(
    points: Float64[np.ndarray, "V 3"], grid: HeadGrid, rounds: int
) -> Float64[np.ndarray, "V 3"]:
    """The grid faired inside its borders without shrinking (Taubin smoothing)."""
    mean, used = neighbour_mean(grid)
    free = used.copy()
    free[:LANDMARK_COUNT] = False
    free[grid.rows[-1]] = False
    for rings, _ in grid.ears:
        free[rings[0]] = False
    result = points.copy()
    for _ in range(rounds):
        for amount in (0.5, -0.52):
            result[free] += amount * ((mean @ result) - result)[free]
    return result


def mean_of_heads(
    points: Float64[np.ndarray, "V 3"], other: Head, ear: Ear
) -> Float64[np.ndarray, "V 3"]:
    """Move the grid along its normals towards the second head."""
    grid = head_grid()
    surface = samples(without(other, ear, 1.15), 0.0015)
    tree = cKDTree(surface)
    normals = vertex_normals(points, grid.triangles)
    own = np.unique(grid.rows[1:][grid.rows[1:] >= 0])
    nearest = surface[tree.query(points[own])[1]]
    gap = ((nearest - points[own]) * normals[own]).sum(axis=1)
    height = points[own, 2]
    share = (1 - FIRST_HEAD) * np.clip((height - NECK_FROM) / (NECK_TO - NECK_FROM), 0, 1)
    amount = np.zeros(len(points))
    amount[own] = np.clip(gap, -0.012, 0.012) * share
    mean, used = neighbour_mean(grid)
    free = used.copy()
    free[:LANDMARK_COUNT] = False
    for _ in range(8):
        amount = np.where(free, 0.5 * amount + 0.5 * (mean @ amount), amount)
    print(f"second head: {1000 * np.abs(gap).mean():.1f} mm away on average")
    return points + normals * amount[:, None]


def fair_rim(points: Float64[np.ndarray, "V 3"], grid: HeadGrid) -> Float64[np.ndarray, "V 3"]:
    """The first rows behind the face, solved for minimal bending."""
    triangles = np.concatenate([load_template().triangles, grid.triangles])
    free = np.zeros(len(points), bool)
    for column in range(COLUMNS):
        last = round(np.interp(min(column, COLUMNS - column), (0, 9, 18), FAIR_ROWS))
        free[grid.rows[1 : last + 1, column]] = True
    bend = bending(points, triangles)
    energy = (bend.T @ bend).tocsc()
    right = -(energy[free][:, ~free] @ points[~free])
    result = points.copy()
    result[free] = np.asarray(spsolve(energy[free][:, free].tocsc(), right))
    return result


def close_collar(points: Float64[np.ndarray, "V 3"], grid: HeadGrid) -> Float64[np.ndarray, "V 3"]:
    """Set the edge of the collar and the floor that closes it."""
    rings, middle = grid.floor
    ring = points[rings[0]]
    centre = ring.mean(axis=0)
    result = points.copy()
    result[rings[1]] = centre + (ring - centre) * 0.975 - (0, 0, 0.002)
    result[rings[2]] = centre + (ring - centre) * 0.55 - (0, 0, 0.001)
    result[middle] = centre - (0, 0, 0.001)
    return result


def main(arguments: list[str]) -> None:
    """Read, align, lay the grid, average, write."""
    if len(arguments) != 3:
        raise SystemExit(__doc__)
    ict, landmarks = read_ict(Path(arguments[0]), Path(arguments[1]))
    first = onto_template(ict, landmarks)
    second = register(read_mpfb(Path(arguments[2])), first)
    grid = head_grid()
    ear = fit_ear(first.vertices, first.triangles)
    points = lay_grid(first, ear)
    before = points
    points = mean_of_heads(points, second, ear)
    points = smoothed(symmetric(points, grid), grid, 12)
    left = ear.rings()
    for (rings, middle), sign in zip(grid.ears, (1, -1), strict=True):
        shift = (points[rings[0]] - before[rings[0]]).mean(axis=0)
        points[rings[1:]] = left[:-1].reshape(*rings[1:].shape, 3) * (sign, 1, 1) + shift
        points[middle] = left[-1] * (sign, 1, 1) + shift
    points = fair_rim(points, grid)
    points = symmetric(close_collar(points, grid), grid)
    numbers = {"vertices": points[LANDMARK_COUNT:].astype(np.float32)}
    with written_whole(SHELL_PATH) as temporary:
        save_file(numbers, temporary, metadata={"unit": "metre", "rows": str(ROWS)})
    print(f"{SHELL_PATH}: {len(points) - LANDMARK_COUNT} vertices")


if __name__ == "__main__":
    main(sys.argv[1:])
