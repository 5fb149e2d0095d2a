# SPDX-License-Identifier: GPL-3.0-or-later
"""Let an animation in a GLB file start at its own time 0. No bpy.

Blender's exporter writes frame n as n / fps; its option to start at zero works on sampled
animation only, and sampling makes the export ten times slower. So the key times are moved in the
finished file. Layout: glTF 2.0 specification, section 4.4 (GLB) and 3.11 (animations).
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

_FLOAT = 5126
_HEADER = struct.Struct("<4sII")
_CHUNK = struct.Struct("<I4s")


def start_animations_at_zero(path: Path, names: set[str], first_frame: int, fps: float) -> None:
    """Move the key times of these animations so that `first_frame` of the scene becomes 0 s."""
    document, binary = read_glb(path)
    moved: set[int] = set()
    for animation in document.get("animations", []):
        if animation.get("name") in names:
            moved |= {sampler["input"] for sampler in animation["samplers"]}
    kept = {
        sampler["input"]
        for animation in document.get("animations", [])
        if animation.get("name") not in names
        for sampler in animation["samplers"]
    }
    for index in sorted(moved - kept):
        _move(document, binary, index, first_frame, fps)
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


def _move(
    document: dict[str, Any], binary: bytearray, index: int, first_frame: int, fps: float
) -> None:
    accessor = document["accessors"][index]
    if accessor["componentType"] != _FLOAT or accessor["type"] != "SCALAR":
        return
    view = document["bufferViews"][accessor["bufferView"]]
    start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
    times = np.frombuffer(binary, "<f4", accessor["count"], start).astype(np.float64)
    frames = times * fps
    whole = np.round(frames)
    # Our keys sit on whole frames; float32 seconds do not hold them exactly.
    frames = np.where(np.abs(frames - whole) < 1e-2, whole, frames)
    shifted = ((frames - first_frame) / fps).astype("<f4")
    binary[start : start + shifted.nbytes] = shifted.tobytes()
    accessor["min"], accessor["max"] = [float(shifted.min())], [float(shifted.max())]


def _write_glb(path: Path, document: dict[str, Any], binary: bytearray) -> None:
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    text += b" " * (-len(text) % 4)
    body = bytes(binary) + b"\0" * (-len(binary) % 4)
    total = _HEADER.size + 2 * _CHUNK.size + len(text) + len(body)
    with path.open("wb") as stream:
        stream.write(_HEADER.pack(b"glTF", 2, total))
        stream.write(_CHUNK.pack(len(text), b"JSON") + text)
        stream.write(_CHUNK.pack(len(body), b"BIN\0") + body)
