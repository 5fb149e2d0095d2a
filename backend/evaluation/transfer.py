# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys made for heads that have hand-made ones, compared with those shape by shape.

The shapes are removed, keys are made for the bare mesh (including finding the face on it), and
both are compared. Parts that no hand-made shape moves, e.g. eyeballs that bones rotate, do not
count.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64, Integer, Num
from rich.table import Table

from backend.transfer.find_landmarks import find_landmarks
from backend.transfer.make_keys import make_keys
from backend.transfer.mesh_graph import mesh_graph
from backend.transfer.shape_source import ShapeSource
from shared.arkit import ARKIT_NAMES, INDEX
from shared.character import Character
from shared.landmarks import CHIN
from shared.npz import load_npz

from .transfer_style import shared_shapes, source_of

HEADS = Path("heads")
# A vertex counts as moving above this share of the shape's largest motion.
MOVING = 0.2
# A shape is right if its direction differs by at most this (degrees) and its size ratio is within.
RIGHT_DIRECTION, RIGHT_SIZES = 30.0, (0.6, 1.6)
# The top part of MPFB's body that is head and neck, in decimetres.
_HEAD_HEIGHT = 3.6


@dataclass(frozen=True)
class TransferRow:
    """One shape on one head.

    direction  degrees between made and hand-made motion, mean weighted by the motion's length
    size       made over hand-made, norms of the whole fields
    """

    head: str
    shape: str
    direction: float
    size: float

    @property
    def right(self) -> bool:
        low, high = RIGHT_SIZES
        return self.direction <= RIGHT_DIRECTION and low <= self.size <= high


@dataclass(frozen=True)
class TransferHead:
    """One head: how many of its shapes are right.

    `below_neck` is the largest motion below the neck in millimetres, `seconds` the time it took,
    including finding the face.
    """

    head: str
    vertices: int
    right: int
    shapes: int
    below_neck: float
    seconds: float


@dataclass(frozen=True, eq=False)
class _Reference:
    name: str
    vertices: Float64[np.ndarray, "V 3"]
    triangles: Int64[np.ndarray, "F 3"]
    shapes: dict[str, Float64[np.ndarray, "V 3"]]
    to_metres: float


def transfer_rows(data: Path) -> tuple[list[TransferHead], list[TransferRow]]:
    """Figures of every reference head in `data`, by head and by shape.

    Each head is also measured with its own shapes given at the landmarks; and if there are two, the
    first one's hand-made shapes are compared with the second's (see `transfer_style`).
    """
    heads, rows, sources = [], [], []
    for reference in _references(data / HEADS):
        character = _bare(reference)
        landmarks = find_landmarks(character)
        source = source_of(reference.name, reference.vertices, reference.shapes, landmarks)
        sources.append(source)
        for given in (None, source):
            head, own = _measure(reference, character, given)
            heads.append(head)
            rows += own
    if len(sources) > 1:
        one, other = sources[:2]
        name = f"{one.name} by hand against {other.name} by hand, at the landmarks"
        agreed = [
            TransferRow(name, shape, *_compare(made, wanted))
            for shape, made, wanted in shared_shapes(one, other)
        ]
        right = sum(row.right for row in agreed)
        heads.append(TransferHead(name, len(one.landmarks), right, len(agreed), 0.0, 0.0))
    return heads, rows


def transfer_tables(heads: list[TransferHead], rows: list[TransferRow]) -> list[Table]:
    """The heads, and their shapes side by side."""
    title = (
        f"Keys made for bare meshes against hand-made ones (right: at most {RIGHT_DIRECTION:.0f} "
        f"degrees, size {RIGHT_SIZES[0]} to {RIGHT_SIZES[1]})"
    )
    first = Table("head", "vertices", "shapes right", "below the neck", "time", title=title)
    for head in heads:
        first.add_row(
            head.head,
            str(head.vertices),
            f"{head.right} of {head.shapes}",
            f"{head.below_neck:.2f} mm",
            f"{head.seconds:.1f} s" if head.seconds else "",
        )
    found = {(row.head, row.shape): row for row in rows}
    heads = [head for head in heads if any(row.head == head.head for row in rows)]
    second = Table("shape", *(f"{h.head}: direction °, size" for h in heads))
    for name in ARKIT_NAMES:
        cells = []
        for head in heads:
            row = found.get((head.head, name))
            mark = "" if row is None or row.right else " !"
            cells.append("" if row is None else f"{row.direction:.1f}, {row.size:.2f}{mark}")
        if any(cells):
            second.add_row(name, *cells)
    return [first, second]


def _bare(reference: _Reference) -> Character:
    return Character(
        reference.vertices.astype(np.float32),
        reference.triangles.astype(np.int32),
        np.zeros(len(reference.vertices), np.int32),
        ("head",),
    )


def _measure(
    reference: _Reference, character: Character, source: ShapeSource | None
) -> tuple[TransferHead, list[TransferRow]]:
    count = len(reference.vertices)
    title = reference.name if source is None else f"{reference.name}, own style"
    start = time.perf_counter()
    keys = make_keys(character, source=source)
    seconds = time.perf_counter() - start
    made = np.zeros((len(ARKIT_NAMES), count, 3))
    made[:, keys.rows] = keys.shapes
    graph = mesh_graph(
        reference.vertices * reference.to_metres, reference.triangles, np.zeros(count, np.int64)
    )
    part = graph.component[graph.point_of]
    moved = np.any([offset.any(axis=1) for offset in reference.shapes.values()], axis=0)
    counts = (np.bincount(part, moved) > 0)[part]
    rows = []
    for name, offset in reference.shapes.items():
        if offset.any():
            direction, size = _compare(made[INDEX[name]][counts], offset[counts])
            rows.append(TransferRow(title, name, direction, size))
    chin = keys.landmarks[CHIN]
    face = float(np.linalg.norm(keys.landmarks[10] - chin))
    below = reference.vertices[:, 2] < chin[2] - 0.5 * face
    largest = float(np.linalg.norm(made[:, below], axis=2).max(initial=0.0))
    head = TransferHead(
        title,
        count,
        sum(row.right for row in rows),
        len(rows),
        largest * reference.to_metres * 1000.0,
        seconds,
    )
    return head, rows


def _compare(
    made: Float64[np.ndarray, "V 3"], reference: Float64[np.ndarray, "V 3"]
) -> tuple[float, float]:
    """Angle in degrees and ratio of sizes of two motions."""
    length = np.linalg.norm(reference, axis=1)
    moving = length > MOVING * length.max()
    own = np.linalg.norm(made, axis=1)
    cosine = (made * reference).sum(axis=1)[moving] / np.maximum(own * length, 1e-12)[moving]
    angle = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    direction = float(np.average(angle, weights=length[moving]))
    return direction, float(np.sqrt((made**2).sum() / (reference**2).sum()))


def _references(folder: Path) -> list[_Reference]:
    found = []
    ict, mpfb = folder / "ict_facekit.npz", folder / "mpfb_hm08_arkit52_viseme15.npz"
    if ict.is_file():
        found.append(_ict(ict))
    if mpfb.is_file():
        body = _mpfb(mpfb)
        found += [_head_of(body), body]
    return found


def _ict(path: Path) -> _Reference:
    arrays = load_npz(path, "a reference head")
    shapes: dict[str, Float64[np.ndarray, "V 3"]] = {}
    for number, name in enumerate(arrays["expression_names"].tolist()):
        offset = _turned(arrays["expression_deltas"][number] * arrays["expression_scale"][number])
        stem, _, side = name.rpartition("_")
        full = stem + {"L": "Left", "R": "Right"}[side] if side in ("L", "R") else name
        # Two shapes come in halves.
        full = full if full in ARKIT_NAMES else stem
        shapes[full] = shapes.get(full, np.zeros_like(offset)) + offset
    return _Reference("ICT", _turned(arrays["neutral"]), _triangles(arrays["faces"]), shapes, 0.01)


def _mpfb(path: Path) -> _Reference:
    arrays = load_npz(path, "a reference head")
    quads = arrays["body_quads"]
    # The file's other vertices belong to parts whose faces it does not contain.
    count = int(quads.max()) + 1
    shapes = {
        name: _turned(offset[:count])
        for name, offset in zip(arrays["names"].tolist(), arrays["deltas"], strict=True)
        if name in ARKIT_NAMES
    }
    return _Reference(
        "MPFB, whole body", _turned(arrays["vertices"][:count]), _triangles(quads), shapes, 0.1
    )


def _head_of(body: _Reference) -> _Reference:
    keep = body.vertices[:, 2] > body.vertices[:, 2].max() - _HEAD_HEIGHT
    inside = body.triangles[keep[body.triangles].all(axis=1)]
    used = np.unique(inside)
    number = np.zeros(len(body.vertices), np.int64)
    number[used] = np.arange(len(used))
    shapes = {name: offset[used] for name, offset in body.shapes.items()}
    return _Reference("MPFB, head", body.vertices[used], number[inside], shapes, body.to_metres)


def _triangles(faces: Integer[np.ndarray, "N 4"]) -> Int64[np.ndarray, "F 3"]:
    """Two triangles of each quad; -1 in the last place pads a triangle."""
    second = faces[faces[:, 3] >= 0][:, [0, 2, 3]]
    return np.concatenate([faces[:, :3], second]).astype(np.int64)


def _turned(points: Num[np.ndarray, "V 3"]) -> Float64[np.ndarray, "V 3"]:
    """From +Y up and facing +Z to +Z up and facing -Y."""
    x, y, z = np.moveaxis(points.astype(np.float64), -1, 0)
    return np.stack([x, -z, y], axis=-1)
