# SPDX-License-Identifier: GPL-3.0-or-later
"""Which addresses are this computer's own."""

from __future__ import annotations

import pytest

from shared.connection import parse_address


@pytest.mark.parametrize(
    "text",
    ["localhost", "LocalHost:7761", "127.0.0.1", "tcp://127.8.9.10:1", "[::1]:7761", "[::1%lo]"],
)
def test_loopback_is_this_computer(text: str) -> None:
    assert parse_address(text).is_this_computer


@pytest.mark.parametrize(
    "text",
    ["gpu-box", "192.168.1.20:7761", "128.0.0.1", "localhost.example.org", "127.0.0.1.example.org",
     "0.0.0.0", "[::]", "[fe80::1%eth0]:7761", "127.1"],
)  # fmt: skip
def test_everything_else_is_not(text: str) -> None:
    assert not parse_address(text).is_this_computer
