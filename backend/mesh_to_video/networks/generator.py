# SPDX-License-Identifier: GPL-3.0-or-later
"""The generator: paints what the moved photo cannot show, refines mouth and lids.

    photo ─▶ features at 128, 64, 32 (once per video)
    per frame: features moved by the motion, the moved photo with the mouth's interior laid in
               (the "composite"), occlusion, texture ─▶ small U-Net ─▶ composite + gate * residual

What it is given, all float32 and 256 wide:

    photo       [N, 3] the face crop, 0..1
    photo_code  [N, 3] its projection texture
    flow        [N, 2] crop pixels, the geometry's and the motion-VAE's together
    occlusion   [N, 1] 1 where the moved photo shows the right thing
    composite   [N, 3] the photo moved by the flow, with the mouth's interior laid in; may be a
                window of the rest
    code, face  [N, 3], [N, 1] normalised coordinates of the driven mesh, and where it is
    inside      [N, 4] the mouth's interior and its cover

An untrained generator gives the composite back. The refiner does the same for a picture that is
twice as large: untrained, it adds what the generator changed to the sharper composite.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from backend.mesh_to_video.networks.layers import Residual, activate, conv, double, shrink
from backend.mesh_to_video.networks.warping import sample, sampling_grid

# Composite in squares of four, occlusion, face, code, cover.
_PLANES = 3 * 4 + 1 + 1 + 3 + 1


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
        """From what `as_dict` gave, also through JSON. Raises TypeError, ValueError, KeyError."""
        photo, frame = values["photo"], values["frame"]
        if not isinstance(photo, list | tuple) or not isinstance(frame, list | tuple):
            raise TypeError("widths are lists")
        a, b, c = (int(width) for width in photo)
        d, e, f = (int(width) for width in frame)
        return GeneratorShape((a, b, c), (d, e, f), int(str(values["refiner"])))


class PhotoEncoder(nn.Module):
    """Features of the photo and its texture, once per video."""

    def __init__(self, widths: tuple[int, int, int]) -> None:
        super().__init__()
        first, second, third = widths
        self.stem = conv(6 * 4, first)
        self.down64 = conv(first, second, stride=2)
        self.at64 = Residual(second)
        self.down32 = conv(second, third, stride=2)
        self.at32 = Residual(third)

    def forward(self, photo: Tensor, photo_code: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        values = functional.pixel_unshuffle(torch.cat([photo, photo_code], dim=1), 2)
        at128 = activate(self.stem(values))
        at64 = self.at64(activate(self.down64(at128)))
        return at128, at64, self.at32(activate(self.down32(at64)))


class Generator(nn.Module):
    """See the module."""

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
        # Three colours of change and one gate, in squares of four.
        self.answer = nn.Conv2d(first, 4 * 4, 3, padding=1)
        nn.init.normal_(self.answer.weight, std=0.01)
        nn.init.zeros_(self.answer.weight.data[:12])
        nn.init.zeros_(self.answer.bias)  # type: ignore[arg-type]

    def encode(self, photo: Tensor, photo_code: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features of the photo at 128, 64 and 32; once per video."""
        found: tuple[Tensor, Tensor, Tensor] = self.photo(photo, photo_code)
        return found

    def forward(
        self,
        features: tuple[Tensor, Tensor, Tensor],
        flow: Tensor,
        occlusion: Tensor,
        composite: Tensor,
        code: Tensor,
        face: Tensor,
        inside: Tensor,
        corner: tuple[int, int] = (0, 0),
    ) -> Tensor:
        """Pictures [N, 3, h, w] in 0..1: the composite's part of the frame, whose `corner` (left,
        top) and sides are multiples of 8. One photo's features serve any number of frames.
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
        features: tuple[Tensor, Tensor, Tensor],
        grid: Tensor,
        occlusion: Tensor,
        composite: Tensor,
        code: Tensor,
        face: Tensor,
        inside: Tensor,
    ) -> Tensor:
        """The same for any window of the frame whose corner and side are multiples of 8, without
        the limits of 0..1. `grid` [N, h/2, w/2, 2] is that window of the sampling grid at 128.
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
    """Brings the generator's changes to a picture twice as large and sharpens them there."""

    def __init__(self, shape: GeneratorShape | None = None) -> None:
        super().__init__()
        width = (shape or GeneratorShape()).refiner
        # The large composite in squares of 16, the change and the occlusion in squares of 4.
        self.stem = conv(3 * 16 + 3 * 4 + 4, width)
        self.middle = conv(width, width)
        self.answer = nn.Conv2d(width, 3 * 16, 3, padding=1)
        nn.init.zeros_(self.answer.weight)
        nn.init.zeros_(self.answer.bias)  # type: ignore[arg-type]

    def forward(
        self, large: Tensor, composite: Tensor, generated: Tensor, occlusion: Tensor
    ) -> Tensor:
        """[N, 3, 2S, 2S] in 0..1 from the large composite [N, 3, 2S, 2S] and from the composite,
        the generator's picture and the occlusion [N, ., S, S]; S a multiple of 2.
        """
        return self.paint(large, composite, generated, occlusion).clamp(0.0, 1.0)

    def paint(
        self, large: Tensor, composite: Tensor, generated: Tensor, occlusion: Tensor
    ) -> Tensor:
        """`forward` without the limits of 0..1."""
        change = generated - composite
        small = functional.pixel_unshuffle(torch.cat([change, occlusion], dim=1), 2)
        values = torch.cat([functional.pixel_unshuffle(large, 4), small], dim=1)
        values = activate(self.middle(activate(self.stem(values))))
        enlarged = functional.interpolate(
            change, scale_factor=2.0, mode="bilinear", align_corners=False
        )
        return large + enlarged + functional.pixel_shuffle(self.answer(values), 4)
