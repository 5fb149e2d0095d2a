# SPDX-License-Identifier: GPL-3.0-or-later
"""Who speaks and how: the vector that modulates the motion network.

Amplitudes are not part of it: the style dials scale those on finished curves, without running the
network again. What is here changes the transitions between sounds, or depends on the shape of the
face.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

# Coefficients of the face's shape (see `face.identity`), in standard deviations.
IDENTITY_SIZE = 8
IDENTITY_LIMIT = 3.0
DIAL_NAMES = ("effort", "jaw_share", "parted")
# Vectors of the offset basis (see `lip_offsets`).
OFFSETS = 12
STYLE_SIZE = len(DIAL_NAMES) + IDENTITY_SIZE


@dataclass(frozen=True)
class SpeakerStyle:
    """A manner of speaking; zeros are the usual one.

    effort     -1 mumbles: sounds run together and targets are missed; 1 speaks crisply
    jaw_share  -1 the lips do the work, 1 the jaw does (the two axes of JALI, Edwards et al. 2016)
    parted     0 lips meet in pauses, 1 they rest 3 mm apart
    """

    effort: float = 0.0
    jaw_share: float = 0.0
    parted: float = 0.0


def style_vector(
    style: SpeakerStyle | None = None, identity: Float32[np.ndarray, " 8"] | None = None
) -> Float32[np.ndarray, " 11"]:
    """The network's style input: three dials, then the identity coefficients.

    Dials are limited to -1..1 (parted 0..1), coefficients to three standard deviations.
    """
    style = style or SpeakerStyle()
    vector = np.zeros(STYLE_SIZE, np.float32)
    vector[0] = np.clip(style.effort, -1.0, 1.0)
    vector[1] = np.clip(style.jaw_share, -1.0, 1.0)
    vector[2] = np.clip(style.parted, 0.0, 1.0)
    if identity is not None:
        vector[len(DIAL_NAMES) :] = np.clip(identity, -IDENTITY_LIMIT, IDENTITY_LIMIT)
    return vector
