# SPDX-License-Identifier: GPL-3.0-or-later
"""Make `backend/models/texture_layout.safetensors`: the UV layout of a head's skin.

python -m backend.training.fits.texture_layout
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64, Int32
from scipy.sparse import csr_matrix, diags, identity

from backend.face.arkit_basis import landmark_basis
from backend.face.build_head import head_parts
from backend.face.head.parts import Assembly, assemble
from backend.face.head.refine import refine_skin
from backend.face.identity import closed_template
from backend.face.surface import vertex_normals
from backend.face.template import load_template
from backend.face.texture.layout_file import (
    EARS,
    ISLANDS,
    LAYOUT_PATH,
    LayoutFile,
    save_layout,
)
from backend.training.fits.unwrap import corner_uvs, islands
from shared.whole_files import written_whole

# Where hair grows, on the template: angle around the head from the front, degrees, and the
# height above which there is hair, metres.
HAIRLINE = np.array([
    (0.0, 0.098), (25.0, 0.092), (42.0, 0.074), (52.0, 0.055), (66.0, 0.046), (74.0, 0.020),
    (82.0, 0.015), (96.0, 0.026), (106.0, 0.010), (118.0, -0.022), (135.0, -0.040), (180.0, -0.044),
])  # fmt: skip


def mean_head() -> Assembly:
    """The whole head around the mean face, its lips closed and its eyes open."""
    face = closed_template()
    parts, _ = head_parts(face, load_template().irises, None)
    return refine_skin(assemble(face, landmark_basis(face), parts))


def texture_layout(mesh: Assembly) -> LayoutFile:
    """The UV layout of a whole head; all heads with the same triangles share it."""
    island = islands(mesh)
    skin = mesh.triangles[island != ISLANDS.index("painted")]
    on_ear = np.isin(np.array(mesh.part_names)[mesh.vertex_part], EARS)
    return LayoutFile(
        mesh.vertices,
        mesh.vertex_part,
        mesh.triangles,
        corner_uvs(mesh),
        island,
        _above_hairline(mesh.vertices, skin, on_ear),
        _cavity(mesh.vertices, skin) * on_ear,
    )


def _cavity(
    vertices: Float64[np.ndarray, "V 3"], triangles: Int32[np.ndarray, "F 3"]
) -> Float64[np.ndarray, " V"]:
    """How far each vertex lies behind its wider surroundings, 0..1."""
    mean = _neighbour_mean(len(vertices), triangles)
    smooth = vertices
    for _ in range(10):
        smooth = mean @ smooth
    behind = ((smooth - vertices) * vertex_normals(vertices, triangles)).sum(axis=1)
    return np.asarray(np.clip(behind / 0.004, 0.0, 1.0))


def _neighbour_mean(count: int, triangles: Int32[np.ndarray, "F 3"]) -> csr_matrix:
    """The matrix that averages a vertex (half the weight) with the mean of its neighbours."""
    first, second = triangles.T.ravel(), triangles[:, [1, 2, 0]].T.ravel()
    graph = csr_matrix((np.ones(len(first)), (first, second)), shape=(count, count))
    graph = graph.maximum(graph.T)
    share = 1.0 / np.maximum(np.asarray(graph.sum(axis=1)).ravel(), 1.0)
    return csr_matrix(0.5 * (diags(share) @ graph) + 0.5 * identity(count))


def _above_hairline(
    vertices: Float64[np.ndarray, "V 3"],
    triangles: Int32[np.ndarray, "F 3"],
    on_ear: Bool[np.ndarray, " V"],
) -> Float64[np.ndarray, " V"]:
    """Height of each vertex above the hairline, metres; negative on ears, which have no hair."""
    angle = np.degrees(np.arctan2(np.abs(vertices[:, 0]), -(vertices[:, 1] - 0.014)))
    above = vertices[:, 2] - np.interp(angle, HAIRLINE[:, 0], HAIRLINE[:, 1])
    above = np.where(on_ear, -0.03, np.clip(above, -0.06, 0.06))
    mean = _neighbour_mean(len(vertices), triangles)
    for _ in range(3):
        above = mean @ above
    return np.asarray(np.where(on_ear, np.minimum(above, -0.008), above))


def main() -> None:
    """Make the layout of the shipped head and write it."""
    layout = texture_layout(mean_head())
    with written_whole(LAYOUT_PATH) as temporary:
        save_layout(layout, temporary)
    size = LAYOUT_PATH.stat().st_size
    print(f"{LAYOUT_PATH.name}: {len(layout.triangles)} triangles, {size} bytes")


if __name__ == "__main__":
    main()
