# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys on disk: who is let in, and what is said about files that are no keys."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backend.server.access import KnownKeys
from backend.server.keys import clients_file, list_clients, make_client, remove_client, server_keys
from shared.connection import ClientKeys, load_client_keys, parse_address
from shared.errors import ErrorKind, VividKeysError


def test_a_client_is_made_listed_and_removed(tmp_path: Path) -> None:
    path = make_client(
        "laptop", data_folder=tmp_path, address="gpu-box:8000", out=tmp_path / "laptop.key"
    )
    keys = load_client_keys(path)
    assert keys.server_public == server_keys(tmp_path).public
    assert (keys.name, keys.address) == ("laptop", "tcp://gpu-box:8000")
    assert [client.name for client in list_clients(tmp_path)] == ["laptop"]
    assert remove_client("laptop", data_folder=tmp_path)
    assert list_clients(tmp_path) == []
    assert not remove_client("laptop", data_folder=tmp_path)


def test_the_server_does_not_keep_a_clients_secret(tmp_path: Path) -> None:
    keys = load_client_keys(make_client("a", data_folder=tmp_path, out=tmp_path / "out" / "a.key"))
    for path in (tmp_path / "keys").iterdir():
        assert keys.client_secret not in path.read_text()


def test_a_running_server_follows_the_list(tmp_path: Path) -> None:
    known = KnownKeys(clients_file(tmp_path))
    keys = load_client_keys(make_client("a", data_folder=tmp_path, out=tmp_path / "a.key"))
    assert known.name_of(keys.client_public) == "a"
    renewed = load_client_keys(make_client("a", data_folder=tmp_path, out=tmp_path / "a.key"))
    assert known.name_of(keys.client_public) is None
    assert known.name_of(renewed.client_public) == "a"
    remove_client("a", data_folder=tmp_path)
    assert known.name_of(renewed.client_public) is None


def test_a_damaged_list_lets_nobody_in(tmp_path: Path) -> None:
    keys = load_client_keys(make_client("a", data_folder=tmp_path, out=tmp_path / "a.key"))
    known = KnownKeys(clients_file(tmp_path))
    assert known.name_of(keys.client_public) == "a"
    clients_file(tmp_path).write_text("{}")
    assert known.name_of(keys.client_public) is None


@pytest.mark.parametrize("name", ["", "../x", "a b", "ü", "-a", "a" * 65, "a\n"])
def test_names_that_cannot_be_used(tmp_path: Path, name: str) -> None:
    with pytest.raises(VividKeysError) as caught:
        make_client(name, data_folder=tmp_path, out=tmp_path / "x.key")
    assert caught.value.kind is ErrorKind.BAD_REQUEST
    assert not (tmp_path / "x.key").exists()


def test_a_damaged_server_key_is_an_error_with_a_next_step(tmp_path: Path) -> None:
    pair = server_keys(tmp_path)
    path = tmp_path / "keys" / "server.json"
    for damaged in ("{", "[]", json.dumps({"public": "x" * 40, "secret": pair.secret})):
        path.write_text(damaged)
        with pytest.raises(VividKeysError) as caught:
            server_keys(tmp_path)
        assert caught.value.kind is ErrorKind.BAD_FILE and caught.value.next_step


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "other"}', "\x00" * 100])
def test_files_that_are_no_key_files(tmp_path: Path, text: str) -> None:
    path = tmp_path / "some.key"
    path.write_text(text)
    with pytest.raises(VividKeysError) as caught:
        load_client_keys(path)
    assert caught.value.kind is ErrorKind.BAD_FILE
    with pytest.raises(VividKeysError):
        load_client_keys(tmp_path / "absent.key")
    with pytest.raises(VividKeysError):
        ClientKeys("short", "x" * 40, "y" * 40)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("gpu-box", "tcp://gpu-box:7761"),
        (" tcp://gpu-box:80/ ", "tcp://gpu-box:80"),
        ("192.168.1.20:5000", "tcp://192.168.1.20:5000"),
        ("[::1]:5000", "tcp://[::1]:5000"),
        ("[fe80::1%eth0]", "tcp://[fe80::1%eth0]:7761"),
    ],
)
def test_addresses(text: str, address: str) -> None:
    assert str(parse_address(text)) == address


@pytest.mark.parametrize(
    "text",
    ["", ":80", "a b", "host:0", "host:65536", "host:٣", "http://x:80", "::1", "h:1:2", "*:1"],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(VividKeysError) as caught:
        parse_address(text)
    assert caught.value.kind is ErrorKind.BAD_REQUEST
