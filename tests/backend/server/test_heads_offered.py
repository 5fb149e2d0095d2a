# SPDX-License-Identifier: GPL-3.0-or-later
"""Which heads a client can choose from, and what happens to a request for another one."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.server.jobs import reconstruct
from shared.errors import ErrorKind, VividKeysError
from shared.requests import ReconstructRequest, as_params
from tests.backend.server import quick_jobs
from tests.backend.server.real_server import BareClient


def test_what_a_kind_offers_is_asked_for_with_every_hello(
    client: BareClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a kind that cannot tell what it offers keeps nobody from connecting."""
    assert not client.hello().models
    ella = {"name": "ella", "version": "1", "task": "double"}
    monkeypatch.setattr(quick_jobs, "OFFERED", [ella])
    assert client.hello().models == (ella,)


def test_heads_are_described_for_the_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIVIDKEYS_HEADS", str(tmp_path))
    (kind,) = reconstruct.JOB_KINDS
    assert kind.describe is not None
    (own,) = kind.describe()
    assert (own["name"], own["task"], own["vertices"]) == ("own", "reconstruct", 0)


@pytest.mark.parametrize("name", ["ella", "..", "own.head.npz"])
def test_an_unknown_head_is_refused_before_the_job_is_accepted(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIVIDKEYS_HEADS", str(tmp_path))
    (kind,) = reconstruct.JOB_KINDS
    for ours in ("", "own"):
        params = as_params(ReconstructRequest(image="0" * 64, head=ours))
        assert kind.check(params, {}).uploads == ("0" * 64,)
    with pytest.raises(VividKeysError) as caught:
        kind.check(as_params(ReconstructRequest(image="0" * 64, head=name)), {})
    assert caught.value.kind is ErrorKind.BAD_REQUEST
