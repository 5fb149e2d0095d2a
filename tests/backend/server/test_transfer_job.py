# SPDX-License-Identifier: GPL-3.0-or-later
"""The job `transfer` from request to result, without a network and without the face tracker."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.face.from_photo import template_neutral
from backend.face.pose import fit_similarity
from backend.face.template import load_template
from backend.server.job_kinds import STANDARD_MODULES, job_kinds
from backend.transfer import find_landmarks as finding
from backend.transfer import make_keys as making
from backend.transfer.find_landmarks import FaceLandmarks
from backend.watch import Watch
from shared.arrays import Arrays
from shared.character import Character, character_to_arrays, keys_from_arrays
from shared.errors import ErrorKind, VividKeysError

KIND = job_kinds(STANDARD_MODULES)["transfer"]


class Context:
    """A job's world in memory."""

    def __init__(self, params: dict[str, Any], arrays: Arrays, stop_after: int = 10**9) -> None:
        self.params: Mapping[str, Any] = params
        self.arrays = arrays
        self.said: list[tuple[str, float, str]] = []
        self._left = stop_after

    def upload(self, sha256: str) -> Path:
        raise AssertionError("the job needs no upload")

    def result(self, job: str) -> Arrays:
        raise AssertionError("the job needs no other result")

    def new_file(self, name: str) -> Path:
        raise AssertionError("the job makes no file")

    def cancelled(self) -> bool:
        self._left -= 1
        return self._left < 0

    def progress(self, stage: str, fraction: float, sentence: str) -> None:
        self.said.append((stage, fraction, sentence))

    def chunk(self, info: dict[str, Any], arrays: Arrays) -> None:
        raise AssertionError("keys come at once")


@pytest.fixture
def arrays(monkeypatch: pytest.MonkeyPatch) -> Arrays:
    vertices, template = template_neutral(), load_template()
    frame = fit_similarity(vertices, template.vertices, template.rigidity[:468])

    def found(character: Character, watch: Watch) -> FaceLandmarks:
        return FaceLandmarks(vertices, np.ones(468), frame, "rendered", ("A word.",))

    monkeypatch.setattr(finding, "find_landmarks", found)
    monkeypatch.setattr(making, "find_landmarks", found)
    count = len(vertices)
    mask = Character(
        vertices.astype(np.float32), template.triangles, np.zeros(count, np.int32), ("Face",)
    )
    return character_to_arrays(mask)


def test_a_character_comes_back_with_keys(arrays: Arrays) -> None:
    KIND.check({"style": "human"}, arrays)
    context = Context({"style": "human"}, arrays)
    result = KIND.run(context)
    keys = keys_from_arrays(result.arrays)
    assert len(keys.rows) == result.info["vertices"] > 400
    assert keys.meta["style"] == "human" and result.info["warnings"] == ["A word."]
    assert len(keys.offset_fields) == 12 and np.abs(keys.offset_fields).max() > 1e-4
    assert all(sentence for _, _, sentence in context.said)


def test_only_landmarks_makes_no_keys(arrays: Arrays) -> None:
    keys = keys_from_arrays(KIND.run(Context({"only_landmarks": True}, arrays)).arrays)
    assert len(keys.rows) == 0
    np.testing.assert_allclose(keys.landmarks, template_neutral(), atol=1e-6)
    assert len(keys.meta["confidence"]) == 468


def test_a_cancelled_job_stops(arrays: Arrays) -> None:
    with pytest.raises(VividKeysError) as problem:
        KIND.run(Context({}, arrays, stop_after=3))
    assert problem.value.kind is ErrorKind.CANCELLED


@pytest.mark.parametrize(
    ("params", "left_out", "kind"),
    [
        ({"style": "baroque"}, "", ErrorKind.BAD_REQUEST),
        ({"lips": 3}, "", ErrorKind.BAD_REQUEST),
        ({}, "triangles", ErrorKind.BAD_ARRAY),
        ({}, "names", ErrorKind.BAD_ARRAY),
    ],
)
def test_bad_requests_are_refused_before_they_run(
    arrays: Arrays, params: dict[str, Any], left_out: str, kind: ErrorKind
) -> None:
    arrays.pop(left_out, None)
    with pytest.raises(VividKeysError) as problem:
        KIND.check(params, arrays)
    assert problem.value.kind is kind
