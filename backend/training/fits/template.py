# SPDX-License-Identifier: GPL-3.0-or-later
"""Make `backend/models/face_template.safetensors`: the mean of tracked neutral faces.

    python -m backend.training.fits.template NEUTRAL_DIR SMILING_DIR REFERENCE.npz

NEUTRAL_DIR holds frontal photos of many people at rest, SMILING_DIR of smiling ones (which show
the landmarks that move and those on bone), REFERENCE.npz the landmark positions of a head that
looks straight ahead (which define the upright pose). Only our own averages are written.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int32, Int64
from safetensors.numpy import save_file
from scipy.optimize import linear_sum_assignment

from backend.face.landmarks import find_face
from backend.face.load_image import load_image
from backend.face.pose import fit_similarity, image_to_axes
from backend.face.template import TEMPLATE_PATH
from shared.landmarks import EARS, LANDMARK_COUNT, LEFT_IRIS, RIGHT_IRIS
from shared.whole_files import written_whole

PUPIL_DISTANCE = 0.063  # metres; the mean of adults is 0.061 to 0.064
# The origin is the pivot of the head: between the ears, this far below their landmarks, metres.
PIVOT_BELOW_EARS = 0.02


def read_triangles() -> Int32[np.ndarray, "852 3"]:
    """The triangles of the landmark mesh, from MediaPipe's connection table.

    The installed table is a set; only its source text preserves the order in which three
    consecutive edges form a triangle.
    """
    from mediapipe.python.solutions import face_mesh_connections

    tree = ast.parse(Path(face_mesh_connections.__file__).read_text("utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            target = node.targets[0]
            if isinstance(target, ast.Name) and target.id == "FACEMESH_TESSELATION":
                edges = np.array(ast.literal_eval(node.value.args[0]), np.int32)
                return np.ascontiguousarray(edges.reshape(-1, 3, 2)[:, :, 0])
    raise SystemExit("MediaPipe's connection table has no FACEMESH_TESSELATION.")


def symmetric_triangles(
    triangles: Int32[np.ndarray, "F 3"],
    vertices: Float64[np.ndarray, "V 3"],
    pairs: Int64[np.ndarray, " V"],
) -> Int32[np.ndarray, "_ 3"]:
    """Where the two sides split a quad along different diagonals, the left adopts the right's."""
    known = {tuple(sorted(triangle)) for triangle in triangles.tolist()}
    odd = np.array([tuple(sorted(pairs[t].tolist())) not in known for t in triangles])
    right = vertices[triangles].mean(axis=1)[:, 0] < 0
    mirrored = pairs[triangles[odd & right]][:, ::-1]
    return np.concatenate([triangles[~odd | right], mirrored]).astype(np.int32)


def tracked(folder: Path) -> Float64[np.ndarray, "N 478 3"]:
    """Landmarks of every photo of a folder in our axes, pixels."""
    photos = sorted(folder.glob("*.jpg"))
    return np.stack([image_to_axes(find_face(load_image(p).pixels).landmarks) for p in photos])


def mean_shape(
    faces: Float64[np.ndarray, "N 478 3"], weights: Float64[np.ndarray, " 478"]
) -> tuple[Float64[np.ndarray, "478 3"], Float64[np.ndarray, "N 478 3"]]:
    """Generalised Procrustes mean (pupils 63 mm apart), and the faces aligned to it, metres."""
    mean = faces[0] - faces[0].mean(axis=0)
    aligned = faces
    for _ in range(8):
        aligned = np.stack([fit_similarity(f, mean, weights).apply(f) for f in faces])
        mean = aligned.mean(axis=0)
        scale = PUPIL_DISTANCE / np.linalg.norm(mean[RIGHT_IRIS[0]] - mean[LEFT_IRIS[0]])
        mean = (mean - mean.mean(axis=0)) * scale
    return mean, aligned


def mirror_pairs(mean: Float64[np.ndarray, "478 3"]) -> Int64[np.ndarray, " 478"]:
    """Index of each landmark's partner on the other side."""
    flipped = mean * (-1, 1, 1)
    pairs = np.arange(len(mean))
    for _ in range(8):
        cost = np.linalg.norm(flipped[:, None] - mean[None], axis=-1)
        pairs = linear_sum_assignment(cost)[1]
        source = mean * (-1, 1, 1)
        flipped = fit_similarity(source, mean[pairs], np.ones(len(mean))).apply(source)
    if (pairs[pairs] != np.arange(len(mean))).any():
        raise SystemExit("The faces are not symmetric enough to find the mirrored landmarks.")
    return pairs


def upright(
    mean: Float64[np.ndarray, "478 3"], reference: Float64[np.ndarray, "468 3"]
) -> Float64[np.ndarray, "478 3"]:
    """`mean` rotated like the reference head, made symmetric, with its origin set."""
    middle = np.abs(reference[:, 0]) < 50.0
    turned = fit_similarity(mean[:LANDMARK_COUNT], reference, middle.astype(float)).rotation
    mean = mean @ turned.T
    pairs = mirror_pairs(mean)
    mean[:, 0] -= (mean[:, 0] + mean[pairs, 0]).mean() / 2
    # A last small rotation about the other two axes makes the mirror plane exactly x = 0.
    flipped = mean[pairs] * (-1, 1, 1)
    mean = (mean + fit_similarity(flipped, mean, np.ones(len(mean))).apply(flipped)) / 2
    across = mean - mean[pairs]
    normal = (across * np.sign(across[:, :1])).sum(axis=0)
    normal /= np.linalg.norm(normal)
    yaw, roll = np.arctan2(normal[1], normal[0]), np.arctan2(normal[2], normal[0])
    turn_z = np.array([[np.cos(yaw), np.sin(yaw), 0], [-np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
    turn_y = np.array(
        [[np.cos(roll), 0, np.sin(roll)], [0, 1, 0], [-np.sin(roll), 0, np.cos(roll)]]
    )
    mean = mean @ (turn_y @ turn_z).T
    mean[:, 0] -= (mean[:, 0] + mean[pairs, 0]).mean() / 2
    mean = (mean + mean[pairs] * (-1, 1, 1)) / 2
    pivot = mean[list(EARS)].mean(axis=0) - (0, 0, PIVOT_BELOW_EARS)
    return np.asarray(mean - pivot)


def main(arguments: list[str]) -> None:
    """Track, average, write."""
    if len(arguments) != 3:
        raise SystemExit(__doc__)
    neutral, smiling = tracked(Path(arguments[0])), tracked(Path(arguments[1]))
    with np.load(arguments[2], allow_pickle=False) as file:
        reference = image_to_axes(file["vertices"].astype(np.float64) * (10, -10, -10))
    weights = np.ones(neutral.shape[1])
    for _ in range(3):
        mean, aligned = mean_shape(neutral, weights)
        smiles = np.stack([fit_similarity(f, mean, weights).apply(f) for f in smiling])
        aligned = np.stack([fit_similarity(f, mean, weights).apply(f) for f in aligned])
        # The mean motion of a smile and the scatter over people, in mm: both are small on bone.
        motion = np.linalg.norm(smiles.mean(axis=0) - mean, axis=1) * 1000
        scatter = np.sqrt(((aligned - mean) ** 2).sum(axis=2).mean(axis=0)) * 1000
        weights = 1.0 / (1.0 + motion**2 + 0.25 * scatter**2)
    mean = upright(mean, reference)
    pairs = mirror_pairs(mean)
    weights = (weights + weights[pairs]) / 2
    numbers = {
        "vertices": mean[:LANDMARK_COUNT].astype(np.float32),
        "irises": mean[LANDMARK_COUNT:].astype(np.float32),
        "rigidity": (weights / weights.max()).astype(np.float32),
        "mirror": pairs.astype(np.int32),
        "triangles": symmetric_triangles(read_triangles(), mean, pairs),
    }
    with written_whole(TEMPLATE_PATH) as temporary:
        save_file(numbers, temporary, metadata={"photos": str(len(neutral)), "unit": "metre"})
    print(f"{TEMPLATE_PATH}: mean of {len(neutral)} faces")


if __name__ == "__main__":
    main(sys.argv[1:])
