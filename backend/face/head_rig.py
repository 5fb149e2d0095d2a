# SPDX-License-Identifier: GPL-3.0-or-later
"""A head that moves, without a texture, for videos.

It is the head of `build_head.py`. Besides its shapes it stores how every vertex follows the
landmarks, so that tracked landmarks can drive it too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int32, UInt8
from scipy.sparse import csr_matrix, identity, vstack

from shared.arkit import ARKIT_NAMES

from .arkit_basis import landmark_basis
from .build_head import head_parts, inner_tiles
from .head.parts import PART_NAMES, assemble
from .head.refine import refine_skin, refining
from .lip_fields import offset_basis
from .neutral import NeutralFace
from .texture.photo_crop import PhotoCrop


@dataclass(frozen=True, eq=False)
class HeadRig:
    """A head at rest and its motions; V vertices, of which the first 468 are the landmarks.

    rest         metres
    vertex_part  index of `PART_NAMES`
    shapes       offsets in metres, in the order of `ARKIT_NAMES`
    lips         offsets of the lip fields, metres
    inner        the part of `shapes` that does not follow the landmarks: teeth, tongue and eyes
    carry        [V,468] sparse: the share of each landmark's motion that a vertex follows
    tile_uvs     places in the unit square of the painted tiles
    tiles        pictures of eyes, teeth, tongue and throat, by tile name
    """

    rest: Float32[np.ndarray, "V 3"]
    triangles: Int32[np.ndarray, "F 3"]
    vertex_part: Int32[np.ndarray, " V"]
    shapes: Float32[np.ndarray, "52 V 3"]
    lips: Float32[np.ndarray, "K V 3"]
    inner: Float32[np.ndarray, "52 V 3"]
    carry: csr_matrix
    tile_uvs: Float32[np.ndarray, "V 2"]
    tiles: dict[str, UInt8[np.ndarray, "_ _ 3"]]

    def triangles_of(self, *names: str) -> Int32[np.ndarray, "F 3"]:
        """Triangles all of whose corners belong to parts with these names."""
        wanted = np.isin(self.vertex_part, [PART_NAMES.index(name) for name in names])
        return np.ascontiguousarray(self.triangles[wanted[self.triangles].all(axis=1)])

    def carried(self, offsets: Float[np.ndarray, "468 3"]) -> Float32[np.ndarray, "V 3"]:
        """Offsets of the head's vertices when its landmarks move by `offsets`, metres."""
        return np.asarray(self.carry @ offsets, np.float32)


def head_rig(neutral: NeutralFace, crop: PhotoCrop) -> HeadRig:
    """Build the rig of the person in a photo."""
    basis = landmark_basis(neutral.vertices)
    lips = offset_basis(neutral.vertices)
    parts, balls = head_parts(neutral.vertices, neutral.irises, crop)
    coarse = assemble(neutral.vertices, np.concatenate([basis, lips]), parts)
    whole = refine_skin(coarse)
    count = len(ARKIT_NAMES)
    follow = vstack([identity(len(neutral.vertices)), *(csr_matrix(p.follow) for p in parts)])
    carry = csr_matrix(refining(coarse) @ follow)
    shapes = whole.shapes[:count]
    followed = (carry @ basis.transpose(1, 0, 2).reshape(carry.shape[1], -1)).reshape(
        len(shapes[0]), count, 3
    )
    return HeadRig(
        rest=whole.vertices.astype(np.float32),
        triangles=np.ascontiguousarray(whole.triangles, np.int32),
        vertex_part=whole.vertex_part,
        shapes=shapes.astype(np.float32),
        lips=whole.shapes[count:].astype(np.float32),
        inner=(shapes - followed.transpose(1, 0, 2)).astype(np.float32),
        carry=carry,
        tile_uvs=whole.uvs.astype(np.float32),
        tiles=inner_tiles(crop, neutral.vertices, balls),
    )
