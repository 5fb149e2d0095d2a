# SPDX-License-Identifier: GPL-3.0-or-later
"""Shift an animation in a GLB file so that it starts at time 0. No bpy.

Blender's exporter writes frame n as n / fps; its option to start at zero works on sampled
animation only, and sampling makes the export ten times slower. So the key times are shifted in the
finished file, whichever way it was written. Layout: glTF 2.0 specification, section 4.4 (GLB) and
3.11 (animations).
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float64

_FLOAT = 5126
_HEADER = struct.Struct("<4sII")
_CHUNK = struct.Struct("<I4s")


def start_animations_at_zero(path: Path, name: str, fps: float) -> None:
    """Call the file's first animation `name` and shift all animations so that they start at 0 s.

    All of them are shifted by the same time, so that they stay in step.
    """
    document, binary = read_glb(path)
    animations = document.get("animations", [])
    inputs = sorted({sampler["input"] for each in animations for sampler in each["samplers"]})
    frames = {index: _frames(document, binary, index, fps) for index in inputs}
    first = min((float(found[0]) for found in frames.values() if len(found)), default=0.0)
    for index, found in frames.items():
        _put_times(document, binary, index, (found - first) / fps)
    for animation in animations[:1]:
        animation["name"] = name
    _write_glb(path, document, binary)


def read_glb(path: Path) -> tuple[dict[str, Any], bytearray]:
    """The JSON document and the binary chunk of a GLB file. Raises ValueError."""
    data = path.read_bytes()
    magic, version, _ = _HEADER.unpack_from(data)
    if magic != b"glTF" or version != 2:
        raise ValueError(f"{path.name} is not a GLB file")
    document: dict[str, Any] = {}
    binary = bytearray()
    offset = _HEADER.size
    while offset + _CHUNK.size <= len(data):
        length, kind = _CHUNK.unpack_from(data, offset)
        offset += _CHUNK.size
        if kind == b"JSON":
            document = json.loads(data[offset : offset + length])
        elif kind == b"BIN\0":
            binary = bytearray(data[offset : offset + length])
        offset += length
    return document, binary


def _frames(
    document: dict[str, Any], binary: bytearray, index: int, fps: float
) -> Float64[np.ndarray, " N"]:
    """An accessor's times, in frames."""
    start, count = _place(document, index)
    frames = np.frombuffer(binary, "<f4", count, start).astype(np.float64) * fps
    whole = np.round(frames)
    # Most keys are on whole frames, which seconds in single precision miss by a little.
    return np.where(np.abs(frames - whole) < 1e-2, whole, frames)


def _put_times(
    document: dict[str, Any], binary: bytearray, index: int, seconds: Float64[np.ndarray, " N"]
) -> None:
    start, _ = _place(document, index)
    times = seconds.astype("<f4")
    binary[start : start + times.nbytes] = times.tobytes()
    accessor = document["accessors"][index]
    accessor["min"], accessor["max"] = [float(times.min())], [float(times.max())]


def _place(document: dict[str, Any], index: int) -> tuple[int, int]:
    """The offset of an accessor of times in the binary chunk, and their number."""
    accessor = document["accessors"][index]
    # The specification allows nothing else for an animation's input.
    assert accessor["componentType"] == _FLOAT and accessor["type"] == "SCALAR"
    view = document["bufferViews"][accessor["bufferView"]]
    return view.get("byteOffset", 0) + accessor.get("byteOffset", 0), accessor["count"]


def _write_glb(path: Path, document: dict[str, Any], binary: bytearray) -> None:
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    text += b" " * (-len(text) % 4)
    body = bytes(binary) + b"\0" * (-len(binary) % 4)
    total = _HEADER.size + 2 * _CHUNK.size + len(text) + len(body)
    with path.open("wb") as stream:
        stream.write(_HEADER.pack(b"glTF", 2, total))
        stream.write(_CHUNK.pack(len(text), b"JSON") + text)
        stream.write(_CHUNK.pack(len(body), b"BIN\0") + body)
