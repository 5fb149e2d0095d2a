# SPDX-License-Identifier: GPL-3.0-or-later
"""A small fit of the lips' fields already says most of what the shipped ones say."""

from __future__ import annotations

import numpy as np

from backend.audio_to_mesh.lip_offsets import OFFSET_COUNT, offset_basis
from backend.face.lip_contact import lip_region
from backend.face.template import load_template
from backend.training.fits.lip_offsets import fit
from backend.training.teacher.driven_mesh import face_pool
from shared.landmarks import LANDMARK_COUNT


def test_a_few_sentences_give_the_fields_that_ship() -> None:
    fields = fit(face_pool(2), 8, np.random.default_rng(1))
    assert fields.shape == (OFFSET_COUNT, LANDMARK_COUNT, 3)
    still = np.setdiff1d(np.arange(LANDMARK_COUNT), lip_region())
    assert not fields[:, still].any()
    shipped = offset_basis(load_template().vertices).reshape(OFFSET_COUNT, -1)
    axes, _ = np.linalg.qr(fields.reshape(OFFSET_COUNT, -1).T)
    share = ((shipped @ axes) ** 2).sum(axis=1) / (shipped**2).sum(axis=1)
    assert share[:6].min() > 0.97
    # The last ones are small and need all sentences.
    assert ((shipped @ axes) ** 2).sum() > 0.98 * (shipped**2).sum()
