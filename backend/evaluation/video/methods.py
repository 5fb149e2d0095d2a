# SPDX-License-Identifier: GPL-3.0-or-later
"""What is compared: the whole pipeline, its ablations, the plain warp and the photo held still."""

from __future__ import annotations

from backend.mesh_to_video.settings import PLAIN_WARP, Parts

STILL, WARP, WHOLE = "still", "warp", "whole"
# In the order of the table. None: the photo itself in every frame.
METHODS: dict[str, Parts | None] = {
    STILL: None,
    WARP: PLAIN_WARP,
    WHOLE: Parts(),
    "no VAE": Parts(motion_vae=False),
    "no lip branch": Parts(lip_branch=False),
    "no generator": Parts(generator=False),
    "no mouth interior": Parts(mouth=False),
    "no softness": Parts(soft_lips=False),
}
LABELS: dict[str, str] = {STILL: "photo held still", WARP: "geometric warp", WHOLE: "whole"}


def label(method: str) -> str:
    """The name of a method in the table."""
    return LABELS.get(method, method)
