# SPDX-License-Identifier: GPL-3.0-or-later
"""The shipped texture layout: where each triangle of the mean head lies in the texture.

It depends on shipped shapes alone and takes a while to compute, so it is made once, by
`python -m backend.training.fits.texture_layout`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int32
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from shared.errors import ErrorKind, VividKeysError

from ..head.head_shape import load_shell
from ..template import load_template

LAYOUT_PATH = Path(__file__).parents[2] / "models" / "texture_layout.safetensors"
MADE_BY = "python -m backend.training.fits.texture_layout"

ISLANDS = ("head", "neck", "crown", "below", "right_ear", "left_ear", "painted")
EARS = ("right_ear", "left_ear")


@dataclass(frozen=True, eq=False)
class LayoutFile:
    """The layout, made on the mean head with closed lips; all our heads have its triangles.

    vertices        of the mean head, metres
    vertex_part     index of `PART_NAMES`
    uvs             of the triangles' corners, v upwards
    island          index of `ISLANDS`; all but "painted" are skin
    above_hairline  metres above the hairline (below: negative)
    cavity          how hollow an ear is at a vertex, 0..1; 0 elsewhere
    """

    vertices: Float64[np.ndarray, "V 3"]
    vertex_part: Int32[np.ndarray, " V"]
    triangles: Int32[np.ndarray, "F 3"]
    uvs: Float64[np.ndarray, "F 3 2"]
    island: Int32[np.ndarray, " F"]
    above_hairline: Float64[np.ndarray, " V"]
    cavity: Float64[np.ndarray, " V"]


def made_for() -> str:
    """A fingerprint of the shipped shapes that a layout fits: face template and head shell."""
    template = load_template()
    digest = hashlib.sha256()
    for array in (template.vertices, template.triangles, load_shell()):
        digest.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()


def save_layout(layout: LayoutFile, path: Path) -> None:
    """Write a layout in single precision, each place in the texture once."""
    places, corners = np.unique(
        layout.uvs.reshape(-1, 2).astype(np.float32), axis=0, return_inverse=True
    )
    numbers: dict[str, NDArray[Any]] = {
        "vertices": layout.vertices.astype(np.float32),
        "vertex_part": layout.vertex_part.astype(np.uint8),
        "triangles": layout.triangles.astype(np.uint16),
        "places": places,
        "corners": corners.reshape(-1, 3).astype(np.uint16),
        "island": layout.island.astype(np.uint8),
        "above_hairline": layout.above_hairline.astype(np.float32),
        "cavity": layout.cavity.astype(np.float32),
    }
    save_file(numbers, path, metadata={"unit": "metre", "made_for": made_for()})


def load_layout(path: Path = LAYOUT_PATH) -> LayoutFile:
    """Read a layout; VividKeysError(bad_file) if that fails or it fits other shapes."""
    try:
        with safe_open(path, "np") as stream:
            about = stream.metadata() or {}
            names = stream.keys()
            numbers = {name: stream.get_tensor(name) for name in names}
        layout = LayoutFile(
            numbers["vertices"].astype(np.float64),
            numbers["vertex_part"].astype(np.int32),
            numbers["triangles"].astype(np.int32),
            numbers["places"].astype(np.float64)[numbers["corners"]],
            numbers["island"].astype(np.int32),
            numbers["above_hairline"].astype(np.float64),
            numbers["cavity"].astype(np.float64),
        )
    except Exception as problem:
        raise VividKeysError(
            ErrorKind.BAD_FILE,
            f"The texture layout {path.name} is missing or damaged.",
            "Install VividKeys again.",
        ) from problem
    if about.get("made_for") != made_for():
        raise made_for_another_head(path)
    return layout


def made_for_another_head(path: Path = LAYOUT_PATH) -> VividKeysError:
    """The error for a layout that does not fit the head it is used on."""
    return VividKeysError(
        ErrorKind.BAD_FILE,
        f"The texture layout {path.name} was made for a different head shape.",
        f"Install VividKeys again; if you changed the head's shape, run: {MADE_BY}",
    )
