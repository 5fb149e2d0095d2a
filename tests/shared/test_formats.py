# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest

from shared.arkit import INDEX
from shared.errors import ErrorKind, VividKeysError
from shared.formats import (
    take_from_audio2face_json,
    take_from_livelink_csv,
    take_to_audio2face_json,
    take_to_livelink_csv,
)
from shared.take import Take, resample_take


def rows_of(take: Take) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(take_to_livelink_csv(take))))


def test_livelink_there_and_back(small_take: Take) -> None:
    back = take_from_livelink_csv(
        take_to_livelink_csv(small_take), 60.0, small_take.neutral, small_take.triangles
    )
    np.testing.assert_allclose(back.weights, small_take.weights, atol=1e-6)
    np.testing.assert_allclose(back.head_rotation, small_take.head_rotation, atol=1e-6)


def test_livelink_columns_are_the_apps(small_take: Take) -> None:
    header = take_to_livelink_csv(small_take).splitlines()[0].split(",")
    assert header[:3] == ["Timecode", "BlendShapeCount", "EyeBlinkLeft"]
    assert header[16:20] == ["JawForward", "JawRight", "JawLeft", "JawOpen"]
    assert header[54:57] == ["HeadYaw", "HeadPitch", "HeadRoll"]
    assert len(header) == 63
    row = rows_of(small_take)[30]
    assert float(row["JawOpen"]) == pytest.approx(
        float(small_take.weights[30, INDEX["jawOpen"]]), abs=1e-6
    )
    assert row["BlendShapeCount"] == "61"


def test_livelink_timecode_counts_frames_within_the_second(small_take: Take) -> None:
    codes = [row["Timecode"] for row in rows_of(small_take)]
    assert codes[0] == "00:00:00:00.000"
    assert codes[59] == "00:00:00:59.000"
    assert codes[60] == "00:00:01:00.000"
    broken = [row["Timecode"] for row in rows_of(resample_take(small_take, 29.97))]
    assert broken[30] == "00:00:01:00.030"
    assert broken == sorted(broken)


def test_livelink_in_degrees_and_without_some_columns_is_read() -> None:
    text = "\ufeffTimecode,BlendShapeCount,JAWOPEN,HeadYaw\n0,2,0.5,45\n1,2,1.2,-10\n"
    take = take_from_livelink_csv(text, 30.0, np.zeros((3, 3)), np.array([[0, 1, 2]]))
    np.testing.assert_allclose(take.weights[:, INDEX["jawOpen"]], [0.5, 1.0])
    np.testing.assert_allclose(np.degrees(take.head_rotation[:, 2]), [45, -10], rtol=1e-5)


def test_audio2face_there_and_back(small_take: Take) -> None:
    text = take_to_audio2face_json(small_take)
    back = take_from_audio2face_json(text, small_take.neutral, small_take.triangles)
    np.testing.assert_allclose(back.weights, small_take.weights, atol=1e-6)
    np.testing.assert_allclose(back.head_rotation, small_take.head_rotation, atol=1e-6)
    np.testing.assert_allclose(back.head_translation, small_take.head_translation, atol=1e-6)
    assert back.fps == 60.0


def test_audio2face_by_name_not_by_place() -> None:
    text = json.dumps(
        {"exportFps": 30, "facsNames": ["mouthClose", "JawOpen"], "weightMat": [[0.1, 0.7]]}
    )
    take = take_from_audio2face_json(text, np.zeros((3, 3)), np.array([[0, 1, 2]]))
    assert take.weights[0, INDEX["jawOpen"]] == pytest.approx(0.7)
    assert take.weights[0, INDEX["mouthClose"]] == pytest.approx(0.1)


@pytest.mark.parametrize(
    "text",
    ["", "a,b\n1,2\n", "JawOpen\nword\n", "JawOpen\nnan\n", "JawOpen,JawLeft\n0.5\n"],
)
def test_other_csv_is_refused(text: str) -> None:
    with pytest.raises(VividKeysError) as caught:
        take_from_livelink_csv(text, 60.0, np.zeros((3, 3)), np.array([[0, 1, 2]]))
    assert caught.value.kind == ErrorKind.BAD_FILE


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"exportFps": 30, "facsNames": ["jawOpen"], "weightMat": [[1, 2]]}'],
)
def test_other_json_is_refused(text: str) -> None:
    with pytest.raises(VividKeysError) as caught:
        take_from_audio2face_json(text, np.zeros((3, 3)), np.array([[0, 1, 2]]))
    assert caught.value.kind == ErrorKind.BAD_FILE
