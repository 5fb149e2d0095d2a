# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever frames come: they are a message, or an error of ours that can be sent back."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared import checks, messages
from shared.errors import ErrorKind, VividKeysError
from shared.messages import FIELDS, Message
from shared.protocol import MessageError, decode_from_client, decode_from_server, encode
from shared.requests import (
    AnimateRequest,
    ReconstructRequest,
    RenderRequest,
    TransferRequest,
    face_of,
    from_params,
    motion_slice,
    take_of,
)
from shared.strict_json import DEEPEST, parse_json

JOB = "0123456789abcdef0123456789abcdef"
SHA = "0" * 64
LARGEST = 2**31 - 1

fuzz = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

# Numbers and texts on which readers break, as they stand in a JSON text.
NASTY = st.sampled_from(
    [
        "null", "true", "-1", "0", "1", "2147483647", "2147483648", "9007199254740993",
        "18446744073709551616", "9" * 400, "-" + "9" * 400, "9" * 5000, "1e400", "-1e400", "1e-400",
        "NaN", "Infinity", "-Infinity", "0.5", '""', '"jawOpen"', '"\\ud800"', '"\\u0000"',
        f'"{JOB}"', f'"{SHA}"', '"done"', '"failed"', '"job"', "[]", "{}", "[[]]", '[{"a": 1}]',
        "[" * 200 + "]" * 200, "[" * 900 + "]" * 900, '{"a":' * 300 + "1" + "}" * 300,
        '{"a": 1, "a": 2}', '["float32"]', '{"job": "x"}',
    ]
)  # fmt: skip
LENGTHS = st.sampled_from(
    ["0", "1", "2", "-1", str(LARGEST), str(LARGEST + 1), "1e3", "true", "null", "[]", "9" * 30]
)


@st.composite
def described_array(draw: st.DrawFn) -> str:
    if draw(st.integers(0, 9)) == 0:
        return draw(NASTY)
    shape = "[" + ",".join(draw(st.lists(LENGTHS, max_size=6))) + "]"
    if draw(st.integers(0, 9)) == 0:
        shape = draw(NASTY)
    dtype = draw(st.sampled_from(['"float32"', '"uint8"', '"float64"', '"|O"', '"object"', "[]"]))
    name = draw(st.sampled_from(['"a"', '"data"', '"a b"', '"face.meta"', "1", "null"]))
    return f'{{"name": {name}, "dtype": {dtype}, "shape": {shape}}}'


@st.composite
def hostile_frames(draw: st.DrawFn) -> list[bytes]:
    kind = draw(st.sampled_from([*FIELDS, "nonsense"]))
    parts = ['"v": 1', f'"type": "{kind}"']
    for name in FIELDS.get(kind, {}):
        if draw(st.integers(0, 3)):
            good = {"job": f'"{JOB}"', "sha256": f'"{SHA}"', "kind": '"animate"', "size": "3"}
            usual = draw(st.booleans()) and name in good
            parts.append(f'"{name}": {good[name] if usual else draw(NASTY)}')
    if draw(st.booleans()):
        described = draw(st.lists(described_array(), max_size=4))
        parts.append(f'"arrays": [{", ".join(described)}]')
    elif draw(st.booleans()):
        parts.append(f'"arrays": {draw(NASTY)}')
    bodies = draw(st.lists(st.binary(max_size=16), max_size=4))
    return [("{" + ", ".join(parts) + "}").encode("utf-8", "surrogatepass"), *bodies]


def assert_message_or_error(frames: list[bytes]) -> None:
    for decode in (decode_from_client, decode_from_server):
        try:
            message = decode(frames)
        except MessageError as error:
            assert error.sentence
            encode(error.as_failed())
        else:
            assert isinstance(message, Message)
            encode(message)


@fuzz
@given(st.lists(st.binary(max_size=64), max_size=4))
def test_bytes_are_a_message_or_an_error(frames: list[bytes]) -> None:
    assert_message_or_error(frames)


@fuzz
@given(hostile_frames())
def test_headers_with_nasty_values_are_a_message_or_an_error(frames: list[bytes]) -> None:
    assert_message_or_error(frames)


@fuzz
@given(st.data())
def test_spoilt_messages_are_a_message_or_an_error(data: st.DataObject) -> None:
    arrays = {"curve": np.ones((2, 3), np.float32)}
    whole = messages.Submit(JOB, "animate", {"audio": SHA, "fps": 60}, arrays=arrays)
    frames = [bytearray(frame) for frame in encode(whole)]
    for _ in range(data.draw(st.integers(1, 6))):
        frame = frames[data.draw(st.integers(0, len(frames) - 1))]
        place = data.draw(st.integers(0, len(frame) - 1))
        frame[place] = data.draw(st.integers(0, 255))
    assert_message_or_error([bytes(frame) for frame in frames])


# `[0, M, M, M]` holds nothing and so fits an empty frame, yet no array can have that shape; the
# others claim as much for whoever makes room by the lengths.
@pytest.mark.parametrize(
    "shape",
    [
        [0, LARGEST, LARGEST, LARGEST],
        [LARGEST, LARGEST, LARGEST, 0],
        [0, LARGEST],
        [LARGEST, 0, 3],
        [0, 1 << 20, 1 << 20],
    ],
)
@pytest.mark.parametrize("kind", ["hello", "submit", "upload"])
def test_an_array_without_values_may_not_claim_any_size(shape: list[int], kind: str) -> None:
    described = [{"name": "a", "dtype": "uint8", "shape": shape}]
    header = {"v": 1, "type": kind, "arrays": described, "job": JOB, "sha256": SHA, "size": 0}
    with pytest.raises(MessageError) as caught:
        decode_from_client([json.dumps({**header, "kind": "animate"}).encode(), b""])
    assert caught.value.kind is ErrorKind.BAD_ARRAY


def test_arrays_without_values_are_sent_all_the_same() -> None:
    """A character with no point set, a face without lip fields."""
    arrays = {
        "none": np.zeros((0, 3), np.float32),
        "fields": np.zeros((0, 30_000, 3), np.float32),
        "shapes": np.zeros((52, 0, 3), np.float32),
    }
    arrived = decode_from_client(encode(messages.Submit(JOB, "animate", arrays=arrays)))
    assert isinstance(arrived, messages.Submit)
    assert {name: array.shape for name, array in arrived.arrays.items()} == {
        name: array.shape for name, array in arrays.items()
    }


@pytest.mark.parametrize("depth", [DEEPEST + 1, 200, 500, 900, 100_000])
def test_depth_is_limited_before_it_is_anybodys_trouble(depth: int) -> None:
    """Also far below what the parser takes: what is parsed is copied, compared and written."""
    header = b'{"v": 1, "type": "submit", "job": "%s", "kind": "animate", "params": {"seed": %s}}'
    frames = [header % (JOB.encode(), b"[" * depth + b"]" * depth)]
    with pytest.raises(MessageError) as caught:
        decode_from_client(frames)
    assert caught.value.kind is ErrorKind.BAD_REQUEST
    assert "deeply" in caught.value.sentence


@pytest.mark.parametrize(
    "text",
    ['{"a": "\\ud800"}', '{"\\udfff": 1}', '[1, ["\\ud83d"]]', "1" + "0" * 30, "1e400", "NaN",
     '{"a": 1, "a": 2}', "", "[", "\ufeff{}"],
)  # fmt: skip
def test_json_that_cannot_be_carried_on_is_no_json(text: str) -> None:
    with pytest.raises(ValueError):
        parse_json(text)


def test_json_as_we_write_it_is_read() -> None:
    value = {"ä": ["😀", 2**53, -1.5, None, True, {"deep": [[[]]]}]}
    assert parse_json(json.dumps(value)) == value
    assert parse_json(json.dumps(value, ensure_ascii=False).encode()) == value


@pytest.mark.parametrize("value", [10**400, -(10**400), float("nan"), float("inf"), True, "1", []])
def test_a_number_beyond_every_float_is_out_of_range(value: Any) -> None:
    with pytest.raises(ValueError):
        checks.number(0.0, 1.0)(value)


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**400, -(10**400), float("nan"), float("inf"), "", "own", "a/b", JOB, SHA])
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


@fuzz
@given(st.data())
def test_parameters_of_any_kind_are_a_request_or_an_error(data: st.DataObject) -> None:
    request = data.draw(
        st.sampled_from([AnimateRequest, ReconstructRequest, TransferRequest, RenderRequest])
    )
    names = sorted(request.__dataclass_fields__)
    params = data.draw(st.dictionaries(st.sampled_from(names), ANYTHING, max_size=6))
    base = {"audio": SHA} if "audio" in names else {}
    base |= {"image": SHA} if "image" in names else {}
    try:
        from_params(request, {**base, **params})
    except VividKeysError as error:
        assert error.kind is ErrorKind.BAD_REQUEST


ARRAYS = st.sampled_from(
    [
        np.float32(1.0), np.zeros(0, np.float32), np.zeros((0, 3), np.float32), np.zeros((2, 3)),
        np.zeros((2, 52), np.float32), np.zeros((52, 2, 3), np.float32), np.zeros(3, np.uint8),
        np.zeros((2, 3), np.int32), np.full((1, 3), 9, np.int32), np.full((2, 3), 1e300),
        np.frombuffer(b"{}", np.uint8), np.frombuffer(b"[" * 5000, np.uint8),
        np.frombuffer(b'{"materials": [], "parts": [], "meta": {}}', np.uint8),
        np.frombuffer(b'{"a": ' + b"9" * 5000 + b"}", np.uint8), np.full((1, 1), 60.0),
        np.zeros((1, 1, 3), np.uint8), np.zeros((468, 3), np.float32),
    ]
)  # fmt: skip
FACE = ("vertices", "triangles", "uvs", "texture", "triangle_material", "shapes", "landmarks",
        "vertex_part", "meta", "offset_rows", "offset_fields")  # fmt: skip
TAKE = ("weights", "head_rotation", "head_translation", "neutral", "triangles", "offset_basis",
        "offset_weights", "fps", "meta")  # fmt: skip


@pytest.mark.parametrize(
    ("names", "prefix", "use"),
    [
        (FACE, "face.", face_of),
        (TAKE, "take.", take_of),
        (TAKE, "", lambda arrays: motion_slice({"start_frame": 0, "fps": 10**400}, arrays)),
        (TAKE, "", lambda arrays: motion_slice({"start_frame": 0, "fps": 60.0}, arrays)),
    ],
)
def test_arrays_of_any_kind_are_a_value_or_an_error(
    names: tuple[str, ...], prefix: str, use: Callable[[Any], Any]
) -> None:
    @fuzz
    @given(st.fixed_dictionaries({prefix + name: ARRAYS for name in names}))
    def check(arrays: dict[str, Any]) -> None:
        try:
            use(arrays)
        except VividKeysError as error:
            assert error.kind in (ErrorKind.BAD_ARRAY, ErrorKind.BAD_REQUEST)

    check()


def test_few_rows_of_lip_fields_make_no_more_room_than_the_shapes_that_came() -> None:
    vertices = np.zeros((4_000_000, 3), np.float32)
    arrays = {name: np.zeros(0, np.float32) for name in FACE}
    arrays |= {
        "meta": np.frombuffer(b'{"materials": [], "parts": [], "meta": {}}', np.uint8),
        "vertices": vertices,
        "offset_rows": np.zeros(0, np.int32),
        "offset_fields": np.zeros((64, 0, 3), np.float32),
    }
    with pytest.raises(VividKeysError) as caught:
        face_of({f"face.{name}": array for name, array in arrays.items()})
    assert "shapes" in caught.value.sentence
