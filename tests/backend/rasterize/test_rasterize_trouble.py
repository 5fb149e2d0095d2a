# SPDX-License-Identifier: GPL-3.0-or-later
"""Invalid requests, missing backends, and compiled code that cannot be cached."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from backend.rasterize import Fragments, rasterize
from shared.errors import VividKeysError


def test_bad_requests_say_what_is_wrong() -> None:
    vertices, triangles = np.zeros((4, 3), np.float32), np.array([[0, 1, 2]], np.int32)
    for arguments, kind in [
        ((vertices, triangles, (0, 4)), "bad_request"),
        ((vertices, np.array([[0, 1, 4]]), (4, 4)), "bad_array"),
        ((vertices, np.array([[0, -1, 2]]), (4, 4)), "bad_array"),
        ((vertices, np.array([[0, 1, 2, 3]]), (4, 4)), "bad_array"),
        ((vertices[:, :2], triangles, (4, 4)), "bad_array"),
        ((vertices, triangles, (4, 4), "opengl"), "bad_request"),
    ]:
        for as_tensor in (False, True):
            first = torch.from_numpy(vertices) if as_tensor else arguments[0]
            if as_tensor and arguments[0].shape != vertices.shape:
                first = torch.from_numpy(np.ascontiguousarray(arguments[0]))
            with pytest.raises(VividKeysError) as caught:
                rasterize(first, *arguments[1:])
            assert caught.value.kind == kind and caught.value.next_step


def _no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    from numba.core import caching

    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])


def _full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    from numba.core import caching

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(caching.IndexDataCacheFile, "load", lambda *_: None)
    monkeypatch.setattr(caching.IndexDataCacheFile, "save", fail)


@pytest.mark.parametrize("trouble", [_no_folder, _full_disk])
def test_compiled_code_that_cannot_be_kept_still_runs(monkeypatch, trouble) -> None:  # type: ignore[no-untyped-def]
    njit = pytest.importorskip("numba", reason="numba is not installed here").njit
    from numba import types

    from backend.rasterize.on_numba import compiled

    trouble(monkeypatch)
    with pytest.raises((RuntimeError, OSError)):
        njit(types.int32(types.int32), cache=True)(_one_more)
    assert compiled(types.int32, types.int32)(_one_more)(4) == 5


def _one_more(number: int) -> int:
    return number + 1


def test_a_backend_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import backend.rasterize as package

    monkeypatch.setattr(package, "_installed", lambda name: name != "pytorch3d")
    with pytest.raises(VividKeysError) as caught:
        rasterize(np.zeros((3, 3)), np.array([[0, 1, 2]]), (4, 4), "pytorch3d")
    assert caught.value.kind == "missing_dependency" and "pytorch3d" in caught.value.sentence
    monkeypatch.setattr(package, "_installed", lambda name: name == "torch")
    found = rasterize([(0, 0, 1), (9, 0, 1), (0, 9, 1)], [(0, 1, 2)], (8, 8))
    assert isinstance(found, Fragments) and found.covered.any()
