# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a backend is and what a client needs to connect to it: an address and three keys."""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .disk_errors import told_of_the_disk
from .errors import ErrorKind, VividKeysError
from .limits import DEFAULT_PORT
from .whole_files import write_whole

KEY_FILE_FORMAT = "vividkeys-client-key"
CLIENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_Z85_KEY = re.compile(r"[0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.\-]{0,252})")
_IPV6 = re.compile(r"\[[0-9A-Fa-f:.]{2,45}(%[A-Za-z0-9]{1,16})?\]")


@dataclass(frozen=True)
class Address:
    """A TCP host (a name, an IPv4 address or an IPv6 address in brackets) and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"tcp://{self.host}:{self.port}"

    @property
    def is_this_computer(self) -> bool:
        """True for loopback: nothing sent there leaves the computer. Names are not looked up."""
        if self.host.lower() == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host.strip("[]").partition("%")[0]).is_loopback
        except ValueError:
            return False


def parse_address(text: str) -> Address:
    """The Address in 'host', 'host:port' or 'tcp://host:port'; without a port the default one.

    Raises VividKeysError(bad_request).
    """
    rest = text.strip().removeprefix("tcp://").rstrip("/")
    host, separator, port = rest.rpartition(":")
    if not separator or rest.endswith("]"):
        host, port = rest, str(DEFAULT_PORT)
    if not (_HOST.fullmatch(host) or _IPV6.fullmatch(host)):
        raise _bad_address(text, "it names no computer")
    if not port.isascii() or not port.isdecimal() or not 1 <= int(port[:6]) <= 65535:
        raise _bad_address(text, "its port is not a number from 1 to 65535")
    return Address(host, int(port))


@dataclass(frozen=True)
class ClientKeys:
    """The keys of one client, as 40 characters of Z85 each.

    `server_public` authenticates the server, the client's pair authenticates the client. `name`
    and `address` are for people and may be empty.
    """

    server_public: str
    client_public: str
    client_secret: str
    name: str = ""
    address: str = ""

    def __post_init__(self) -> None:
        for field in ("server_public", "client_public", "client_secret"):
            value = getattr(self, field)
            if not isinstance(value, str) or not _Z85_KEY.fullmatch(value):
                raise VividKeysError(
                    ErrorKind.BAD_FILE,
                    f"The key '{field}' is not a key.",
                    "Make the key file again: python -m backend keys",
                )

    def __repr__(self) -> str:  # never a secret in a log
        return f"ClientKeys(name={self.name!r}, client_public={self.client_public!r})"


def save_client_keys(keys: ClientKeys, path: Path) -> None:
    """Write a key file that only its owner may read. Raises VividKeysError(bad_file)."""
    write_private_json(path, {"format": KEY_FILE_FORMAT, "version": 1, **asdict(keys)})


def load_client_keys(path: Path) -> ClientKeys:
    """Read a key file. Raises VividKeysError(bad_file) that says what is wrong with it."""
    try:
        with path.open("rb") as stream:
            values = json.loads(stream.read(65536).decode("utf-8"))
    except OSError as error:
        raise VividKeysError(
            ErrorKind.BAD_FILE,
            f"The key file '{path}' cannot be read: {error.strerror or error}.",
            "Choose the file that 'python -m backend keys' made on the backend's computer.",
        ) from error
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict) or values.get("format") != KEY_FILE_FORMAT:
        raise VividKeysError(
            ErrorKind.BAD_FILE,
            f"'{path.name}' is not a VividKeys key file.",
            "Choose the file that 'python -m backend keys' made on the backend's computer.",
        )
    return client_keys_from(values)


def client_keys_from(values: dict[str, Any]) -> ClientKeys:
    """The keys in a JSON object. Raises VividKeysError(bad_file)."""
    return ClientKeys(
        server_public=values.get("server_public", ""),
        client_public=values.get("client_public", ""),
        client_secret=values.get("client_secret", ""),
        name=str(values.get("name", "")),
        address=str(values.get("address", "")),
    )


def write_private_json(path: Path, values: dict[str, Any]) -> None:
    """Write a JSON file that only its owner may read, all or nothing.

    Raises VividKeysError(bad_file), or disk_full.
    """
    with told_of_the_disk(path):
        text = json.dumps(values, indent=2, ensure_ascii=False)
        write_whole(path, text + "\n", private=True)


def _bad_address(text: str, reason: str) -> VividKeysError:
    return VividKeysError(
        ErrorKind.BAD_REQUEST,
        f"'{text[:200]}' is not an address: {reason}.",
        f"Write it as name:port, for example gpu-box:{DEFAULT_PORT}.",
    )
