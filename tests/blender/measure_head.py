# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a reconstructed face takes to become a head in Blender; prints one JSON object.

Run by `python -m backend bench` with an interpreter that has bpy and a face's .npz. The median of
five heads, each in an empty file.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

import bpy

from blender_addon.heads import scene as heads
from shared.face import load_face

ROUNDS = 5


def main(path: Path) -> None:
    times = []
    for _ in range(ROUNDS):
        bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
        started = time.perf_counter()
        heads.create_head(bpy.context.scene, load_face(path), "Head")
        bpy.context.view_layer.update()
        times.append(time.perf_counter() - started)
    print(json.dumps({"seconds": sorted(times)[ROUNDS // 2]}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
