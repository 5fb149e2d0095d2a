# SPDX-License-Identifier: GPL-3.0-or-later
"""The dual-branch motion-VAE, which adds what the mesh's exact motion misses.

    textures of photo and pose, motion, visibility ─▶ face branch ─┐
                                                                   ├▶ latent ─▶ decoder ─▶ residual
    maps of the lips ─▶ hourglass ─▶ lip branch ───────────────────┘     motion, occlusion

The residual motion is added to the geometry's; occlusion says what the photo can show. An
untrained network adds no motion and passes on the geometry's visibility.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from backend.mesh_to_video.networks.layers import Residual, activate, conv, double, shrink
from backend.mesh_to_video.networks.warping import warp
from backend.mesh_to_video.settings import LIP_MAPS, MOTION_SIDE

# Brings motion in crop pixels to about 1 for a turning face.
_FLOW_SCALE = 1.0 / 16.0
_FACE_PLANES = 3 * 3 + 2 + 1 + 1


@dataclass(frozen=True)
class MotionShape:
    """Sizes of the network. `reach` is the largest residual motion in crop pixels at 256."""

    widths: tuple[int, int, int, int] = (16, 32, 56, 64)
    lip_widths: tuple[int, int, int, int] = (16, 24, 40, 40)
    latent: int = 24
    reach: float = 4.0

    def as_dict(self) -> dict[str, object]:
        return asdict(self)

    @staticmethod
    def from_dict(values: dict[str, object]) -> MotionShape:
        """The inverse of `as_dict`, also after JSON. Raises TypeError, ValueError, KeyError."""
        widths, lip_widths = values["widths"], values["lip_widths"]
        if not isinstance(widths, list | tuple) or not isinstance(lip_widths, list | tuple):
            raise TypeError("widths must be lists")
        a, b, c, d = (int(width) for width in widths)
        e, f, g, h = (int(width) for width in lip_widths)
        return MotionShape(
            (a, b, c, d), (e, f, g, h), int(str(values["latent"])), float(str(values["reach"]))
        )


@dataclass(frozen=True)
class MotionInputs:
    """The network's input for N frames, `MOTION_SIDE` wide; `flow` in crop pixels at 256."""

    driven_texture: Float[Tensor, "N 3 64 64"]
    photo_texture: Float[Tensor, "N 3 64 64"]
    flow: Float[Tensor, "N 2 64 64"]
    seen: Float[Tensor, "N 1 64 64"]
    face: Float[Tensor, "N 1 64 64"]
    lips: Float[Tensor, "N L 64 64"]


@dataclass(frozen=True)
class Motion:
    """The network's output and its latent.

    residual    motion in crop pixels at 256, to be added to the geometry's
    occlusion   1 where the warped photo is right, 0 where it cannot be
    lip_motion  the lip branch's share of the residual, before it is limited
    mean, log_variance  of the latent
    """

    residual: Float[Tensor, "N 2 64 64"]
    occlusion: Float[Tensor, "N 1 64 64"]
    lip_motion: Float[Tensor, "N 2 64 64"]
    mean: Float[Tensor, "N Z 16 16"]
    log_variance: Float[Tensor, "N Z 16 16"]


def motion_inputs(
    photo: Float[Tensor, "N 3 256 256"],
    photo_code: Float[Tensor, "N 3 256 256"],
    flow: Float[Tensor, "N 2 256 256"],
    seen: Float[Tensor, "N 1 256 256"],
    face: Float[Tensor, "N 1 256 256"],
    code: Float[Tensor, "N 3 256 256"],
    lips: Float[Tensor, "N L 64 64"],
) -> MotionInputs:
    """The inputs at 64 pixels from those at 256 (described in the module `generator`).

    Outside the face the driven texture shows the photo as the geometry moves it.
    """
    factor = photo.shape[-1] // MOTION_SIDE
    small_flow, small_face = shrink(flow, factor), shrink(face, factor)
    moved = warp(shrink(photo, factor), small_flow / factor)
    return MotionInputs(
        driven_texture=torch.lerp(moved, shrink(code, factor), small_face),
        photo_texture=shrink(photo_code, factor),
        flow=small_flow,
        seen=shrink(seen, factor),
        face=small_face,
        lips=lips,
    )


class LipBranch(nn.Module):
    """An hourglass network over the maps of the lips: features, and two-dimensional lip motion."""

    def __init__(self, widths: tuple[int, int, int, int]) -> None:
        super().__init__()
        first, second, third, fourth = widths
        self.stem = conv(LIP_MAPS, first)
        self.down = nn.ModuleList(
            [
                conv(first, second, stride=2),
                conv(second, third, stride=2),
                conv(third, fourth, stride=2),
            ]
        )
        self.middle = Residual(fourth)
        self.up = nn.ModuleList([conv(fourth, third), conv(third, second), conv(second, first)])
        self.motion = nn.Conv2d(first, 2, 3, padding=1)
        nn.init.zeros_(self.motion.weight)
        nn.init.zeros_(self.motion.bias)  # type: ignore[arg-type]

    def forward(
        self, lips: Float[Tensor, "N L 64 64"]
    ) -> tuple[Float[Tensor, "N A 16 16"], Float[Tensor, "N B 32 32"], Float[Tensor, "N 2 64 64"]]:
        """Features at 16 and 32 pixels, motion at 64."""
        levels = [activate(self.stem(lips))]
        for layer in self.down:
            levels.append(activate(layer(levels[-1])))
        values = self.middle(levels.pop())
        found = []
        for layer in self.up:
            values = double(activate(layer(values))) + levels.pop()
            found.append(values)
        return found[0], found[1], self.motion(found[2])


class DualBranchMotionVAE(nn.Module):
    """See the module; `forward` samples the latent in training and takes its mean otherwise."""

    def __init__(self, shape: MotionShape | None = None) -> None:
        super().__init__()
        self.shape = shape or MotionShape()
        first, second, third, fourth = self.shape.widths
        _, lip_second, lip_third, _ = self.shape.lip_widths
        self.stem = conv(_FACE_PLANES, first)
        self.down32 = conv(first, second, stride=2)
        self.at32 = Residual(second)
        self.down16 = conv(second, third, stride=2)
        self.at16 = Residual(third)
        self.down8 = conv(third, fourth, stride=2)
        self.at8 = Residual(fourth)
        self.up16 = conv(fourth, third)
        self.lips = LipBranch(self.shape.lip_widths)
        self.latent = conv(third + lip_third, 2 * self.shape.latent, gain=0.3)
        self.decode16 = conv(self.shape.latent, third)
        self.decode_at16 = Residual(third)
        self.decode32 = conv(third + lip_second, second)
        self.decode_at32 = Residual(second)
        # The geometry is input again, so that the latent need not carry its detail.
        self.decode64 = conv(second + 4, first)
        self.decode_at64 = conv(first, first)
        self.answer = nn.Conv2d(first, 3, 3, padding=1)
        nn.init.zeros_(self.answer.weight)
        nn.init.zeros_(self.answer.bias)  # type: ignore[arg-type]

    def forward(
        self,
        inputs: MotionInputs,
        lip_branch: bool = True,
        keep_lips: Float[Tensor, " N"] | None = None,
    ) -> Motion:
        """Residual motion and occlusion.

        `lip_branch=False` leaves out the lip branch; in training, `keep_lips` is 0 for the samples
        that go without it.
        """
        scaled = inputs.flow * _FLOW_SCALE
        factor = 256 // MOTION_SIDE
        moved = warp(inputs.photo_texture, inputs.flow / factor)
        planes = [inputs.driven_texture, inputs.photo_texture, moved, scaled, inputs.seen]
        values = activate(self.stem(torch.cat([*planes, inputs.face], dim=1)))
        values = self.at32(activate(self.down32(values)))
        at16 = self.at16(activate(self.down16(values)))
        values = self.at8(activate(self.down8(at16)))
        values = double(activate(self.up16(values))) + at16

        lips16, lips32, lip_motion = self.lips(inputs.lips)
        if not lip_branch:
            lips16, lips32, lip_motion = (torch.zeros_like(v) for v in (lips16, lips32, lip_motion))
        elif keep_lips is not None:
            keep = keep_lips[:, None, None, None]
            lips16, lips32, lip_motion = lips16 * keep, lips32 * keep, lip_motion * keep

        mean, log_variance = self.latent(torch.cat([values, lips16], dim=1)).chunk(2, dim=1)
        log_variance = log_variance.clamp(-10.0, 6.0)
        code = mean
        if self.training:
            code = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)

        values = self.decode_at16(activate(self.decode16(code)))
        values = torch.cat([double(values), lips32], dim=1)
        values = self.decode_at32(activate(self.decode32(values)))
        values = torch.cat([double(values), scaled, inputs.seen, inputs.face], dim=1)
        values = activate(self.decode_at64(activate(self.decode64(values))))
        answer = self.answer(values)
        reach = self.shape.reach
        # Divided before and multiplied after: small motion is left unchanged.
        residual = reach * torch.tanh((answer[:, :2] + lip_motion) / reach)
        seen = inputs.seen.clamp(0.0, 1.0)
        # An answer of 0 gives exactly the geometry's visibility; both 0 and 1 can be reached.
        change = torch.tanh(answer[:, 2:])
        occlusion = seen + torch.where(change > 0.0, (1.0 - seen) * change, seen * change)
        return Motion(residual, occlusion, lip_motion, mean, log_variance)
