# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import errno
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import arrays as arrays_module
from shared.arkit import ARKIT_NAMES, INDEX
from shared.errors import ErrorKind, VividKeysError
from shared.take import (
    Take,
    load_take,
    resample_take,
    save_take,
    slice_take,
    take_from_arrays,
    take_to_arrays,
)

FIELDS = ("weights", "head_rotation", "head_translation", "neutral", "triangles")
OFFSETS = ("offset_basis", "offset_weights")


def ramp_take(frames: int, fps: float) -> Take:
    weights = np.zeros((frames, 52), np.float32)
    weights[:, INDEX["jawOpen"]] = np.linspace(0, 1, frames)
    return Take(
        fps=fps,
        weights=weights,
        head_rotation=np.zeros((frames, 3)),
        head_translation=np.zeros((frames, 3)),
        neutral=np.zeros((3, 3)),
        triangles=np.array([[0, 1, 2]]),
    )


def assert_same(one: Take, other: Take) -> None:
    assert one.fps == other.fps
    assert one.meta == other.meta
    for name in (*FIELDS, *OFFSETS):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def test_a_saved_take_comes_back_equal(small_take: Take, tmp_path: Path) -> None:
    path = tmp_path / "Überfahrt" / "a.take.npz"
    save_take(small_take, path)
    assert_same(load_take(path), small_take)
    assert [entry.name for entry in path.parent.iterdir()] == ["a.take.npz"]


def test_the_file_is_readable_without_pickle_and_names_its_columns(
    small_take: Take, tmp_path: Path
) -> None:
    path = tmp_path / "a.take.npz"
    save_take(small_take, path)
    with np.load(path, allow_pickle=False) as archive:
        assert tuple(archive["names"]) == ARKIT_NAMES
        assert archive["weights"].dtype == np.float32


def test_numpy_alone_reads_the_frame_rate_and_the_meta(small_take: Take, tmp_path: Path) -> None:
    meta = {"voice": 'für "Ümläute"\n\u0000', "warnings": ["\U0001f600"], "seed": 7}
    path = tmp_path / "a.take.npz"
    save_take(replace(small_take, fps=29.97, meta=meta), path)
    z = np.load(path, allow_pickle=False)
    assert float(z["fps"]) == 29.97 and json.loads(str(z["meta"])) == meta
    assert z["fps"].shape == z["meta"].shape == ()
    assert_same(load_take(path), replace(small_take, fps=29.97, meta=meta))


def test_a_file_of_an_earlier_version_still_opens(small_take: Take, tmp_path: Path) -> None:
    """Its frame rate is a list of one number, its meta the bytes of the text."""
    members = {name: getattr(small_take, name) for name in (*FIELDS, *OFFSETS)}
    text = json.dumps(small_take.meta, ensure_ascii=False).encode("utf-8")
    path = tmp_path / "old.take.npz"
    np.savez_compressed(
        path,
        **members,
        fps=np.array([small_take.fps], np.float64),
        meta=np.frombuffer(text, np.uint8),
        names=np.array(ARKIT_NAMES),
    )
    assert_same(load_take(path), small_take)


def test_messages_carry_numbers_and_bytes_only(small_take: Take) -> None:
    sent = take_to_arrays(small_take)
    assert {array.dtype.kind for array in sent.values()} <= set("fiu")
    assert sent["fps"].shape == (1,) and sent["meta"].dtype == np.uint8


@pytest.mark.parametrize(
    "meta",
    [
        *map(np.array, ("{", "", "[1]", ["{}"], b"{}", 1.0)),
        np.array([0x110000], np.uint32).view("<U1").reshape(()),
    ],
)
def test_a_meta_that_is_no_json_object_is_refused(
    small_take: Take, tmp_path: Path, meta: np.ndarray
) -> None:
    path = tmp_path / "a.take.npz"
    np.savez(path, **{**take_to_arrays(small_take), "names": np.array(ARKIT_NAMES), "meta": meta})
    with pytest.raises(VividKeysError) as caught:
        load_take(path)
    assert caught.value.kind in (ErrorKind.BAD_ARRAY, ErrorKind.BAD_FILE)


def test_columns_in_another_order_are_put_right(small_take: Take, tmp_path: Path) -> None:
    members = take_to_arrays(small_take)
    members["weights"] = small_take.weights[:, ::-1]
    members["names"] = np.array(ARKIT_NAMES[::-1])
    path = tmp_path / "reversed.npz"
    np.savez(path, **members)
    np.testing.assert_array_equal(load_take(path).weights, small_take.weights)


def test_arrays_carry_the_whole_take(small_take: Take) -> None:
    assert_same(take_from_arrays(take_to_arrays(small_take)), small_take)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("weights", np.full((121, 52), np.nan)),
        ("weights", np.full((121, 52), 1.5)),
        ("weights", np.zeros((121, 51))),
        ("weights", np.zeros((0, 52))),
        ("head_rotation", np.zeros((120, 3))),
        ("head_translation", np.full((121, 3), np.inf)),
        ("triangles", np.array([[0, 1, 4]])),
        ("triangles", np.array([[0.0, 1.0, 2.0]])),
        ("offset_weights", np.zeros((121, 3))),
        ("fps", 0.0),
        ("fps", float("nan")),
    ],
)
def test_arrays_that_do_not_fit_are_refused(small_take: Take, field: str, value: object) -> None:
    with pytest.raises(VividKeysError) as caught:
        replace(small_take, **{field: value})
    assert caught.value.kind == ErrorKind.BAD_ARRAY


def test_a_take_cannot_be_changed(small_take: Take) -> None:
    with pytest.raises(ValueError, match="read-only"):
        small_take.weights[0, 0] = 1
    source = np.zeros((121, 52), np.float32)
    take = replace(small_take, weights=source)
    source[:] = 1
    assert take.weights.max() == 0


def test_offsets_are_the_weighted_sum_of_the_basis(small_take: Take) -> None:
    expected = sum(
        weight * field
        for weight, field in zip(small_take.offset_weights[5], small_take.offset_basis, strict=True)
    )
    np.testing.assert_allclose(small_take.offsets(5), expected, rtol=1e-5)


def test_a_slice_is_those_frames(small_take: Take) -> None:
    part = slice_take(small_take, 10, 20)
    assert part.frame_count == 10
    np.testing.assert_array_equal(part.weights, small_take.weights[10:20])


@pytest.mark.parametrize("fps", [23.976, 24.0, 25.0, 29.97, 30.0, 48.0, 59.94, 120.0])
def test_resampling_keeps_the_time_of_every_value(fps: float) -> None:
    take = ramp_take(601, 60.0)
    result = resample_take(take, fps)
    time = np.arange(result.frame_count) / fps
    np.testing.assert_allclose(
        result.weights[:, INDEX["jawOpen"]], np.minimum(time / 10.0, 1), atol=1e-5
    )
    assert time[-1] <= 10.0 + 1e-6 < time[-1] + 1 / fps + 1e-6


@given(frames=st.integers(1, 400), fps=st.floats(1, 240), source=st.sampled_from([24.0, 60.0]))
def test_resampling_never_leaves_the_source(frames: int, fps: float, source: float) -> None:
    take = ramp_take(frames, source)
    result = resample_take(take, fps)
    assert result.frame_count >= 1
    assert (result.frame_count - 1) / fps <= (frames - 1) / source + 1e-6
    assert result.weights.min() >= 0
    assert result.weights.max() <= take.weights.max() + 1e-6


def test_down_and_up_again_keeps_shared_frames(small_take: Take) -> None:
    half = resample_take(small_take, 30.0)
    np.testing.assert_allclose(half.weights, small_take.weights[::2], atol=1e-6)
    np.testing.assert_allclose(half.offset_weights, small_take.offset_weights[::2], atol=1e-6)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 truncated", b"not a zip", None])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "x.take.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(VividKeysError) as caught:
        load_take(path)
    assert caught.value.kind == ErrorKind.BAD_FILE


def test_an_object_array_is_not_unpickled(tmp_path: Path, small_take: Take) -> None:
    members = take_to_arrays(small_take)
    members["names"] = np.array(list(ARKIT_NAMES), dtype=object)
    path = tmp_path / "pickled.npz"
    np.savez(path, **members)
    with pytest.raises(VividKeysError) as caught:
        load_take(path)
    assert caught.value.kind == ErrorKind.BAD_FILE


def test_a_full_disk_leaves_the_old_file(
    small_take: Take, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.take.npz"
    save_take(small_take, path)
    before = path.read_bytes()

    def full(stream: object, **members: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(arrays_module.np, "savez_compressed", full)
    with pytest.raises(VividKeysError) as caught:
        save_take(small_take, path)
    assert caught.value.kind == ErrorKind.DISK_FULL
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.take.npz"]
