# SPDX-License-Identifier: GPL-3.0-or-later
"""The composite that the generator starts from, computed for a batch in torch."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from backend.mesh_to_video.networks.motion_vae import MotionInputs, motion_inputs
from backend.mesh_to_video.networks.warping import enlarge_flow, lay_in, sample, sampling_grid, warp
from backend.training.video.windows import Windows


def inputs_of(batch: dict[str, Tensor]) -> MotionInputs:
    """The motion-VAE's inputs for a batch."""
    names = ("photo", "photo_code", "flow", "seen", "face", "code", "lips")
    return motion_inputs(*(batch[name] for name in names))


def geometric_composite(batch: dict[str, Tensor]) -> Float[Tensor, "N 3 H W"]:
    """The photo moved by the geometry alone, with the mouth's interior laid in.

    Samples may contain it as `composite`, drawn as in videos (with background and eyes).
    """
    if "composite" in batch:
        return batch["composite"]
    return lay_in(warp(batch["photo"], batch["flow"]), batch["inside"])


def moved_composite(
    batch: dict[str, Tensor], residual: Float[Tensor, "N 2 _ _"], windows: Windows | None = None
) -> Float[Tensor, "N 3 _ _"]:
    """The composite with a residual motion added to the geometry's, cut to `windows` if given."""
    side = batch["photo"].shape[-1]
    larger = enlarge_flow(residual, side)
    if "composite" in batch:
        # The drawn picture is moved further; the drawn interior of the mouth stays.
        shift = larger * (1.0 - batch["inside"][:, 3:])
        return _sampled(batch["composite"], shift, windows)
    inside = batch["inside"] if windows is None else windows.cut(batch["inside"])
    return lay_in(_sampled(batch["photo"], batch["flow"] + larger, windows), inside)


def _sampled(
    picture: Float[Tensor, "N 3 H W"], flow: Float[Tensor, "N 2 H W"], windows: Windows | None
) -> Float[Tensor, "N 3 _ _"]:
    grid = sampling_grid(flow)
    if windows is not None:
        grid = windows.cut(grid.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    return sample(picture, grid)
