# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages and frames: what goes in comes out, and what does not fit is refused with a reason."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from shared import messages
from shared.checks import job_id
from shared.errors import ErrorKind, VividKeysError
from shared.framing import DTYPES
from shared.limits import PROTOCOL_VERSION, TO_SERVER, limits_as_json
from shared.messages import FIELDS, FROM_CLIENT, FROM_SERVER, Failed, Message, Submit, new_job_id
from shared.protocol import MessageError, decode_from_client, decode_from_server, encode

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "PROTOCOL.md"
JOB = "0123456789abcdef0123456789abcdef"
SHA = "0123456789abcdef" * 4

# The same inputs in every run, however slow the machine is at the moment.
thorough = settings(
    derandomize=True,
    deadline=None,
    max_examples=150,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)

EXAMPLES: list[Message] = [
    messages.Hello("a test"),
    messages.Upload(SHA, 12, 3, {"data": np.arange(9, dtype=np.uint8)}),
    messages.Submit(JOB, "animate", {"audio": SHA, "fps": 30.0}, "Shot 12, Ümläute"),
    messages.Attach(JOB),
    messages.Cancel(JOB),
    messages.Fetch(JOB, 1 << 20),
    messages.Forget(JOB, with_uploads=True),
    messages.Ping(3),
    messages.Welcome(1, "backend", "anna", True, ("animate",), ({"name": "m"},), (), {}, ()),
    messages.Have(SHA),
    messages.Need(SHA, 5),
    messages.Accepted(JOB, "animate", "running", 2),
    messages.Progress(JOB, "animating", 0.25, "Half of a half"),
    messages.Chunk(JOB, 4, {"start_frame": 8}, {"weights": np.ones((2, 52), np.float32)}),
    messages.Done(JOB, "animate", {"frames": 2}, False, {"triangles": np.eye(3, dtype=np.int32)}),
    messages.Done(JOB, "render", {"frames": 2}, file_sha256=SHA, file_size=9_000_000_000),
    messages.Piece(JOB, 3, {"data": np.arange(9, dtype=np.uint8)}),
    messages.Forgotten(JOB),
    messages.Failed(ErrorKind.DISK_FULL, "No room.", "Make some.", "keep", JOB, SHA),
    messages.Pong(3),
]


def as_bytes(message: Message) -> list[bytes]:
    return [bytes(frame) for frame in encode(message)]


def frames_of(header: Any, *bodies: bytes) -> list[bytes]:
    return [json.dumps(header).encode(), *bodies]


def decode(frames: list[bytes]) -> Message:
    is_ours = json.loads(frames[0])["type"] in {message.TYPE for message in FROM_CLIENT}
    return decode_from_client(frames) if is_ours else decode_from_server(frames)


def submit_with(description: Any, *bodies: bytes) -> list[bytes]:
    header = {"v": PROTOCOL_VERSION, "type": "submit", "job": JOB, "kind": "animate"}
    return frames_of({**header, "arrays": description}, *bodies)


def refusal(frames: list[bytes]) -> MessageError:
    with pytest.raises(MessageError) as caught:
        decode_from_client(frames)
    return caught.value


def test_there_is_an_example_of_every_message() -> None:
    assert {type(example) for example in EXAMPLES} == {*FROM_CLIENT, *FROM_SERVER}


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: message.TYPE)
def test_every_message_arrives_as_it_was_sent(message: Message) -> None:
    arrived = decode(as_bytes(message))
    assert type(arrived) is type(message)
    for name in FIELDS[message.TYPE]:
        assert getattr(arrived, name) == getattr(message, name)
    sent = getattr(message, "arrays", {})
    received = getattr(arrived, "arrays", {})
    assert list(received) == list(sent)
    for name, array in sent.items():
        assert received[name].dtype == array.dtype
        np.testing.assert_array_equal(received[name], array)


@thorough
@given(
    npst.arrays(
        dtype=st.sampled_from(list(DTYPES.values())),
        shape=npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
        elements={"allow_nan": False, "allow_infinity": False},
    )
)
def test_every_array_arrives_bit_by_bit_and_cannot_be_changed(array: np.ndarray) -> None:
    message = decode(as_bytes(Submit(JOB, "animate", arrays={"it": array})))
    assert isinstance(message, Submit)
    arrived = message.arrays["it"]
    assert (arrived.dtype, arrived.shape) == (array.dtype, array.shape)
    assert arrived.tobytes() == array.tobytes()
    assert not arrived.flags.writeable


def test_an_array_that_is_not_contiguous_arrives_in_order() -> None:
    array = np.arange(24, dtype=np.float32).reshape(4, 6)[::2, ::3].T
    message = decode(as_bytes(Submit(JOB, "animate", arrays={"it": array})))
    assert isinstance(message, Submit)
    np.testing.assert_array_equal(message.arrays["it"], array)


GOOD = {"name": "a", "dtype": "float32", "shape": [2]}
TWO = np.ones(2, np.float32).tobytes()


@pytest.mark.parametrize(
    ("description", "bodies", "kind"),
    [
        ([GOOD], [], ErrorKind.BAD_ARRAY),
        ([GOOD], [TWO, TWO], ErrorKind.BAD_ARRAY),
        ([GOOD, GOOD], [TWO, TWO], ErrorKind.BAD_ARRAY),
        ([{**GOOD, "shape": [3]}], [TWO], ErrorKind.BAD_ARRAY),
        ([{**GOOD, "shape": [-2]}], [TWO], ErrorKind.BAD_ARRAY),
        ([{**GOOD, "shape": [True, 2]}], [TWO], ErrorKind.BAD_ARRAY),
        ([{**GOOD, "shape": [2.0]}], [TWO], ErrorKind.BAD_ARRAY),
        ([{**GOOD, "shape": 2}], [TWO], ErrorKind.BAD_ARRAY),
        ([{**GOOD, "shape": [1, 1, 1, 1, 2]}], [TWO], ErrorKind.BAD_ARRAY),
        ([{**GOOD, "shape": [2**62, 2**62]}], [TWO], ErrorKind.BAD_ARRAY),
        ([{**GOOD, "dtype": "object"}], [TWO], ErrorKind.BAD_ARRAY),
        ([{**GOOD, "dtype": "|O"}], [TWO], ErrorKind.BAD_ARRAY),
        ([{**GOOD, "dtype": ["float32"]}], [TWO], ErrorKind.BAD_ARRAY),
        ([{**GOOD, "name": ""}], [TWO], ErrorKind.BAD_ARRAY),
        ([{**GOOD, "name": "../secret"}], [TWO], ErrorKind.BAD_ARRAY),
        ([{**GOOD, "name": 4}], [TWO], ErrorKind.BAD_ARRAY),
        ([{"name": "a"}], [TWO], ErrorKind.BAD_ARRAY),
        ([4], [TWO], ErrorKind.BAD_ARRAY),
        ({"a": GOOD}, [TWO], ErrorKind.BAD_ARRAY),
        ([GOOD], [np.array([1, np.nan], np.float32).tobytes()], ErrorKind.BAD_ARRAY),
        ([GOOD], [np.array([1, -np.inf], np.float32).tobytes()], ErrorKind.BAD_ARRAY),
        ([GOOD] * 33, [TWO] * 33, ErrorKind.TOO_LARGE),
    ],
)
def test_a_wrong_array_is_refused(description: Any, bodies: list[bytes], kind: ErrorKind) -> None:
    error = refusal(submit_with(description, *bodies))
    assert (error.kind, error.about, error.job) == (kind, "submit", JOB)
    assert error.sentence.endswith(".")


def test_arrays_that_are_too_large_together_are_refused() -> None:
    each = np.zeros(TO_SERVER.array_bytes // 4, np.float32)
    arrays = {name: each for name in "ab"}
    assert 2 * each.nbytes > TO_SERVER.message_bytes >= each.nbytes
    with pytest.raises(VividKeysError) as caught:
        encode(Submit(JOB, "animate", arrays=arrays))
    assert caught.value.kind is ErrorKind.TOO_LARGE
    description = [{"name": name, "dtype": "float32", "shape": [each.size]} for name in "ab"]
    error = refusal(submit_with(description, each.tobytes(), each.tobytes()))
    assert error.kind is ErrorKind.TOO_LARGE


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"{",
        b'{"v": 1, "v": 1, "type": "ping"}',
        b'{"v": 1, "type": "ping", "number": NaN}',
        b'{"v": 1, "type": "ping", "number": 1e999}',
        b'{"v": 1, "type": "ping", "number": 1.5}',
        b'{"v": 1, "type": "ping", "number": true}',
        b'{"v": 1, "type": "ping", "number": -1}',
        b'{"v": 1, "type": "ping", "number": ' + b"9" * 5000 + b"}",
        b'{"v": 1, "type": "dance"}',
        b'{"v": 1, "type": {}}',
        b'{"v": 1}',
        b'{"type": "ping"}',
        b'{"v": true, "type": "ping"}',
        b'{"v": 1, "type": "attach"}',
        b'{"v": 1, "type": "attach", "job": "../../x"}',
        b'{"v": 1, "type": "hello", "program": "\\ud800"}',
        b'{"v": 1, "type": "hello", "program": "two\\nlines"}',
        b'{"v": 1, "type": "ping", "deep": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"v": 1, "type": "welcome", "version": 1}',
    ],
)
def test_a_wrong_header_is_refused(header: bytes) -> None:
    error = refusal([header])
    assert error.kind is ErrorKind.BAD_REQUEST
    failed = error.as_failed()
    assert decode_from_server(as_bytes(failed)) == failed, "the refusal itself can be sent"


def test_a_header_that_is_too_large_is_refused() -> None:
    assert refusal([b" " * (TO_SERVER.header_bytes + 1)]).kind is ErrorKind.TOO_LARGE


def test_no_frames_at_all_are_refused() -> None:
    assert refusal([]).kind is ErrorKind.BAD_REQUEST


def test_a_message_without_arrays_may_not_carry_any() -> None:
    frames = frames_of({"v": PROTOCOL_VERSION, "type": "ping", "arrays": [GOOD]}, TWO)
    assert refusal(frames).kind is ErrorKind.BAD_REQUEST


def test_unknown_fields_are_ignored_and_missing_ones_have_defaults() -> None:
    frames = frames_of({"v": PROTOCOL_VERSION, "type": "ping", "mood": "good"})
    assert decode_from_client(frames) == messages.Ping(0)


def test_another_version_is_refused_with_both_versions() -> None:
    error = refusal(frames_of({"v": 7, "type": "hello"}))
    assert error.kind is ErrorKind.UNKNOWN_VERSION
    assert "version 7" in error.sentence and f"version {PROTOCOL_VERSION}" in error.sentence


def test_the_sentence_of_a_backend_of_another_version_can_be_shown() -> None:
    frames = frames_of({"v": 9, "type": "failed", "kind": "new_kind", "sentence": "Too old."})
    assert decode_from_server(frames) == Failed(ErrorKind.INTERNAL, "Too old.")


@thorough
@given(st.lists(st.binary(max_size=64), max_size=4))
def test_random_frames_are_refused_and_nothing_else(frames: list[bytes]) -> None:
    for decoder in (decode_from_client, decode_from_server):
        with pytest.raises(MessageError):
            decoder(frames)


_text = st.text(alphabet="ab1.\u00fc\n\x00\ud800", max_size=8)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=6,
)


@thorough
@given(
    st.sampled_from(EXAMPLES),
    st.dictionaries(
        st.sampled_from(["v", "type", "job", "kind", "arrays", "sha256", "params", "number"]),
        _json,
        max_size=3,
    ),
    st.lists(st.binary(max_size=40), max_size=3),
)
def test_spoilt_messages_are_refused_or_still_messages(
    example: Message, spoilt: dict[str, Any], bodies: list[bytes]
) -> None:
    header = {**json.loads(as_bytes(example)[0]), **spoilt}
    for decoder in (decode_from_client, decode_from_server):
        try:
            message = decoder([json.dumps(header).encode(), *bodies])
        except MessageError as error:
            as_bytes(error.as_failed())
        else:
            as_bytes(message)


def test_a_message_that_breaks_its_own_rules_is_not_sent() -> None:
    for wrong in (messages.Attach("no id"), messages.Progress(JOB, "stage", 1.5)):
        with pytest.raises(VividKeysError) as caught:
            encode(wrong)
        assert caught.value.kind is ErrorKind.BAD_REQUEST


def test_job_ids_are_made_as_they_are_checked() -> None:
    ids = {new_job_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(job_id(new) == new for new in ids)


# --- the specification says what the code does ------------------------------------------------


def rows_below(heading: str) -> list[list[str]]:
    """The cells of the table after a heading of the document, without code marks."""
    text = DOCUMENT.read_text(encoding="utf-8")
    section = re.split(r"^#+ ", text.split(f"# {heading}\n", 1)[1], maxsplit=1, flags=re.M)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.mark.parametrize("message", [*FROM_CLIENT, *FROM_SERVER], ids=lambda m: m.TYPE)
def test_the_document_lists_every_field_of(message: type[Message]) -> None:
    rows = {row[0]: row[2] for row in rows_below(f"`{message.TYPE}`")}
    fields = {
        name: "yes" if required else "no" for name, (_, required) in FIELDS[message.TYPE].items()
    }
    if message.CARRIES_ARRAYS:
        fields["arrays"] = "no"
    assert rows == fields


def test_the_document_lists_every_limit_with_its_value() -> None:
    rows = {row[0]: float(row[1].replace(",", "")) for row in rows_below("Limits")}
    assert rows == limits_as_json()


def test_the_document_lists_every_kind_of_error_with_what_to_do() -> None:
    rows = rows_below("Errors")
    assert [row[0] for row in rows] == [kind.value for kind in ErrorKind]
    assert all(len(row) == 4 and all(row) for row in rows)


def test_the_document_names_the_version_and_types() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert f"version of the protocol is **{PROTOCOL_VERSION}**" in text
    assert [row[0] for row in rows_below("Arrays")] == list(DTYPES)
