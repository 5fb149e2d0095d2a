# SPDX-License-Identifier: GPL-3.0-or-later
"""How long it takes to key 30 s at 30 frames a second on 52 shape keys; prints one JSON object.

Run by `python -m backend bench` with an interpreter that has bpy. `seconds` is the keying alone,
`whole_bake_seconds` everything that Animate does with a finished Take: resampling, mapping, keys,
head motion and the update of the scene. The best of five rounds each.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

import bpy
import numpy as np

from blender_addon.animation import baking, keying, targets
from blender_addon.heads import scene as heads
from shared.arkit import ARKIT_NAMES
from shared.face import FaceMesh
from shared.take import Take, resample_take

SECONDS, FPS, VERTICES, ROUNDS = 30, 30, 5000, 5


def main() -> None:
    random = np.random.default_rng(0)
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    scene = bpy.context.scene
    scene.render.fps = FPS
    triangles = np.column_stack([np.arange(VERTICES - 2) + offset for offset in range(3)])
    face = FaceMesh(
        vertices=random.normal(0, 0.1, (VERTICES, 3)),
        triangles=triangles.astype(np.int32),
        uvs=random.random((len(triangles), 3, 2)),
        texture=np.zeros((64, 64, 3), np.uint8),
        materials=("skin",),
        triangle_material=np.zeros(len(triangles), np.int32),
        shapes=random.normal(0, 0.002, (52, VERTICES, 3)),
    )
    started = time.perf_counter()
    head = heads.create_head(scene, face, "Head")
    head_seconds = time.perf_counter() - started
    frames = SECONDS * 60 + 1
    take = Take(
        fps=60.0,
        weights=random.random((frames, 52)),
        head_rotation=random.normal(0, 0.1, (frames, 3)),
        head_translation=random.normal(0, 0.01, (frames, 3)),
        neutral=face.vertices[:468],
        triangles=face.triangles[:400],
    )
    plan = baking.BakePlan(
        name="measure",
        scene=targets.remember(scene),
        meshes=(targets.remember(head),),
        head=baking.HeadGoal(targets.remember(head)),
    )
    resampled = resample_take(take, FPS)
    curves = {name: resampled.weights[:, column] for column, name in enumerate(ARKIT_NAMES)}
    keying_seconds, bake_seconds = [], []
    for _ in range(ROUNDS):
        action = keying.new_action("measure", {})
        started = time.perf_counter()
        keying.write_shape_keys(action, head.data.shape_keys, curves, 1)
        keying_seconds.append(time.perf_counter() - started)
        started = time.perf_counter()
        baking.bake_take(bpy.context, take, plan, {})
        bake_seconds.append(time.perf_counter() - started)
    print(
        json.dumps(
            {
                "seconds": min(keying_seconds),
                "whole_bake_seconds": min(bake_seconds),
                "head_seconds": head_seconds,
                "keys": len(curves) * resampled.frame_count,
                "blender": bpy.app.version_string,
            }
        )
    )


if __name__ == "__main__":
    main()
