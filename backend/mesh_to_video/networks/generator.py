# SPDX-License-Identifier: GPL-3.0-or-later
"""The generator: paints what the warped photo cannot show, refines mouth and eyelids.

    photo ─▶ features at 128, 64, 32 (once per video)
    per frame: features warped by the motion, the warped photo with the mouth's interior laid in
               (the "composite"), occlusion, texture ─▶ small U-Net ─▶ composite + gate * residual

Its inputs, all 256 wide:

    photo       the face crop, 0..1
    photo_code  its projection texture
    flow        crop pixels, the sum of the geometry's and the motion-VAE's
    occlusion   1 where the warped photo is right
    composite   the photo warped by the flow, with the mouth's interior laid in; may be a window
                of the crop
    code, face  normalised coordinates of the driven mesh, and its mask
    inside      the mouth's interior and its opacity

An untrained generator returns the composite. The refiner does the same for a picture at twice the
resolution: untrained, it adds what the generator changed to the sharper composite.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from backend.mesh_to_video.networks.layers import Residual, activate, conv, double, shrink
from backend.mesh_to_video.networks.warping import sample, sampling_grid

# Composite in blocks of four pixels, occlusion, face, code, opacity of the mouth's interior.
_PLANES = 3 * 4 + 1 + 1 + 3 + 1
# Of the photo at 128, 64 and 32 pixels; of one photo, or of one for each frame.
Features = tuple[
    Float[Tensor, "P A 128 128"], Float[Tensor, "P B 64 64"], Float[Tensor, "P C 32 32"]
]


@dataclass(frozen=True)
class GeneratorShape:
    """Widths at 128, 64 and 32 pixels: of the photo's features and of the frame's."""

    photo: tuple[int, int, int] = (16, 24, 40)
    frame: tuple[int, int, int] = (24, 40, 64)
    refiner: int = 24

    def as_dict(self) -> dict[str, object]:
        return asdict(self)

    @staticmethod
    def from_dict(values: dict[str, object]) -> GeneratorShape:
        """The inverse of `as_dict`, also after JSON. Raises TypeError, ValueError, KeyError."""
        photo, frame = values["photo"], values["frame"]
        if not isinstance(photo, list | tuple) or not isinstance(frame, list | tuple):
            raise TypeError("widths must be lists")
        a, b, c = (int(width) for width in photo)
        d, e, f = (int(width) for width in frame)
        return GeneratorShape((a, b, c), (d, e, f), int(str(values["refiner"])))


class PhotoEncoder(nn.Module):
    """Features of the photo and its texture, computed once per video."""

    def __init__(self, widths: tuple[int, int, int]) -> None:
        super().__init__()
        first, second, third = widths
        self.stem = conv(6 * 4, first)
        self.down64 = conv(first, second, stride=2)
        self.at64 = Residual(second)
        self.down32 = conv(second, third, stride=2)
        self.at32 = Residual(third)

    def forward(
        self, photo: Float[Tensor, "P 3 256 256"], photo_code: Float[Tensor, "P 3 256 256"]
    ) -> Features:
        values = functional.pixel_unshuffle(torch.cat([photo, photo_code], dim=1), 2)
        at128 = activate(self.stem(values))
        at64 = self.at64(activate(self.down64(at128)))
        return at128, at64, self.at32(activate(self.down32(at64)))


class Generator(nn.Module):
    """The U-Net described at the top of this module."""

    def __init__(self, shape: GeneratorShape | None = None) -> None:
        super().__init__()
        self.shape = shape or GeneratorShape()
        first, second, third = self.shape.frame
        photo_first, photo_second, photo_third = self.shape.photo
        self.photo = PhotoEncoder(self.shape.photo)
        self.stem = conv(_PLANES + photo_first, first)
        self.down64 = conv(first, second, stride=2)
        self.join64 = conv(second + photo_second, second)
        self.at64 = Residual(second)
        self.down32 = conv(second, third, stride=2)
        self.join32 = conv(third + photo_third, third)
        self.at32 = nn.Sequential(Residual(third), Residual(third))
        self.up64 = conv(third, second, kernel=1)
        self.decode64 = Residual(second)
        self.up128 = conv(second, first, kernel=1)
        self.decode128 = conv(first, first)
        # Three colours of change and one gate, in blocks of four pixels.
        self.answer = nn.Conv2d(first, 4 * 4, 3, padding=1)
        nn.init.normal_(self.answer.weight, std=0.01)
        nn.init.zeros_(self.answer.weight.data[:12])
        nn.init.zeros_(self.answer.bias)  # type: ignore[arg-type]

    def encode(
        self, photo: Float[Tensor, "P 3 256 256"], photo_code: Float[Tensor, "P 3 256 256"]
    ) -> Features:
        """Features of the photo at 128, 64 and 32 pixels; once per video."""
        found: Features = self.photo(photo, photo_code)
        return found

    def forward(
        self,
        features: Features,
        flow: Float[Tensor, "N 2 256 256"],
        occlusion: Float[Tensor, "N 1 256 256"],
        composite: Float[Tensor, "N 3 h w"],
        code: Float[Tensor, "N 3 256 256"],
        face: Float[Tensor, "N 1 256 256"],
        inside: Float[Tensor, "N 4 256 256"],
        corner: tuple[int, int] = (0, 0),
    ) -> Float[Tensor, "N 3 h w"]:
        """Pictures of the composite's window of the frames, 0..1.

        The window's `corner` (left, top) and sides are multiples of 8, in pixels. One photo's
        features serve any number of frames.
        """
        left, top = corner
        right, bottom = left + composite.shape[-1], top + composite.shape[-2]
        grid = sampling_grid(shrink(flow, 2) * 0.5)
        grid = grid[:, top // 2 : bottom // 2, left // 2 : right // 2]
        if features[0].shape[0] == 1 and len(flow) > 1:
            a, b, c = (values.expand(len(flow), -1, -1, -1) for values in features)
            features = (a, b, c)
        occlusion, code, face, inside = (
            values[..., top:bottom, left:right] for values in (occlusion, code, face, inside)
        )
        return self.paint(features, grid, occlusion, composite, code, face, inside).clamp(0.0, 1.0)

    def paint(
        self,
        features: Features,
        grid: Float[Tensor, "N half_h half_w 2"],
        occlusion: Float[Tensor, "N 1 h w"],
        composite: Float[Tensor, "N 3 h w"],
        code: Float[Tensor, "N 3 h w"],
        face: Float[Tensor, "N 1 h w"],
        inside: Float[Tensor, "N 4 h w"],
    ) -> Float[Tensor, "N 3 h w"]:
        """`forward` for inputs already cut to a window, without clamping to 0..1.

        `grid` is the same window of the sampling grid at 128 pixels.
        """
        visible = shrink(occlusion, 2)
        planes = [
            functional.pixel_unshuffle(composite, 2),
            visible,
            shrink(torch.cat([face, code, inside[:, 3:]], dim=1), 2),
        ]
        grids = grid.permute(0, 3, 1, 2)
        moved = []
        for factor, values in zip((1, 2, 4), features, strict=True):
            places = shrink(grids, factor) if factor > 1 else grids
            shown = shrink(visible, factor) if factor > 1 else visible
            moved.append(sample(values, places.permute(0, 2, 3, 1)) * shown)
        at128 = activate(self.stem(torch.cat([*planes, moved[0]], dim=1)))
        values = activate(self.down64(at128))
        at64 = self.at64(activate(self.join64(torch.cat([values, moved[1]], dim=1))))
        values = activate(self.down32(at64))
        values = self.at32(activate(self.join32(torch.cat([values, moved[2]], dim=1))))
        values = self.decode64(double(self.up64(values)) + at64)
        values = activate(self.decode128(double(self.up128(values)) + at128))
        answer = functional.pixel_shuffle(self.answer(values), 2)
        return composite + answer[:, :3] * torch.sigmoid(answer[:, 3:])


class DetailRefiner(nn.Module):
    """Transfers the generator's changes to a picture of twice the resolution and sharpens them."""

    def __init__(self, shape: GeneratorShape | None = None) -> None:
        super().__init__()
        width = (shape or GeneratorShape()).refiner
        # The large composite in blocks of 16 pixels, the change and the occlusion in blocks of 4.
        self.stem = conv(3 * 16 + 3 * 4 + 4, width)
        self.middle = conv(width, width)
        self.answer = nn.Conv2d(width, 3 * 16, 3, padding=1)
        nn.init.zeros_(self.answer.weight)
        nn.init.zeros_(self.answer.bias)  # type: ignore[arg-type]

    def forward(
        self,
        large: Float[Tensor, "N 3 large_h large_w"],
        composite: Float[Tensor, "N 3 h w"],
        generated: Float[Tensor, "N 3 h w"],
        occlusion: Float[Tensor, "N 1 h w"],
    ) -> Float[Tensor, "N 3 large_h large_w"]:
        """Pictures at twice the resolution, 0..1; h and w are multiples of 2.

        From the composite at both resolutions, the generator's picture and the occlusion.
        """
        return self.paint(large, composite, generated, occlusion).clamp(0.0, 1.0)

    def paint(
        self,
        large: Float[Tensor, "N 3 large_h large_w"],
        composite: Float[Tensor, "N 3 h w"],
        generated: Float[Tensor, "N 3 h w"],
        occlusion: Float[Tensor, "N 1 h w"],
    ) -> Float[Tensor, "N 3 large_h large_w"]:
        """`forward` without clamping to 0..1."""
        change = generated - composite
        small = functional.pixel_unshuffle(torch.cat([change, occlusion], dim=1), 2)
        values = torch.cat([functional.pixel_unshuffle(large, 4), small], dim=1)
        values = activate(self.middle(activate(self.stem(values))))
        enlarged = functional.interpolate(
            change, scale_factor=2.0, mode="bilinear", align_corners=False
        )
        return large + enlarged + functional.pixel_shuffle(self.answer(values), 4)
