# SPDX-License-Identifier: GPL-3.0-or-later
"""One of the processes of the test of torchrun: trains two steps and writes down its weights."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from backend.audio_to_mesh.network import NetworkShape
from backend.training.loop.parallel import join_workers
from backend.training.motion.batches import BatchRecipe
from backend.training.motion.draw_ahead import TrainingSet
from backend.training.motion.train import MotionRecipe, train
from backend.training.teacher.articulation import phone_names

# A network that is small enough for tests.
RECIPE = MotionRecipe(
    steps=4,
    minutes=math.inf,
    save_every=2,
    own_process=False,
    batch=BatchRecipe(size=3, seconds=1.0),
    shape=NetworkShape(
        width=16,
        groups=2,
        dilations=(1, 2),
        head_width=8,
        branch_width=8,
        phones=len(phone_names()),
    ),
)

if __name__ == "__main__":
    folder, output = Path(sys.argv[1]), Path(sys.argv[2])
    worker = join_workers("cpu")
    trainer = train(TrainingSet(folder), output / "together", replace(RECIPE, steps=2), worker)
    weights = {name: value.numpy() for name, value in trainer.network.state_dict().items()}
    np.savez(output / f"weights{worker.rank}.npz", **weights)
    worker.leave()
