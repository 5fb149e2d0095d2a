# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing leaves the computer while Blender's preference forbids it; loopback is always allowed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from .conftest import PACKAGE

ELSEWHERE = "gpu-box.invalid:7761"


@pytest.fixture
def preferences(blender, backend):
    """The extension's preferences, with a key file that fits, and Blender offline."""
    system = blender.context.preferences.system
    before = system.use_online_access
    system.use_online_access = False
    chosen = blender.context.preferences.addons[PACKAGE].preferences
    chosen.address, chosen.key_file = ELSEWHERE, str(backend.key_file)
    yield chosen
    chosen.address = chosen.key_file = ""
    system.use_online_access = before


def go_online(blender, online: bool) -> None:
    blender.context.preferences.system.use_online_access = online
    assert blender.app.online_access is online


def test_another_computer_is_refused(blender, addon, preferences):
    work = addon("jobs.work").state()
    with pytest.raises(RuntimeError, match=r"may not go online.*Allow Online Access"):
        blender.ops.vividkeys.connect_address()
    with pytest.raises(addon("shared.errors").VividKeysError) as caught:
        work.connect("192.0.2.1", Path(preferences.key_file), 0.0)
    assert caught.value.kind == "offline"
    assert not work.backend.connected and not work.backend.connecting
    assert not blender.app.timers.is_registered(addon("jobs.timer").tick)


def test_this_computer_is_not_another(blender, addon, preferences, backend):
    port = backend.address.rpartition(":")[2]
    for address in (backend.address, f"localhost:{port}"):
        assert blender.ops.vividkeys.connect_address(address=address) == {"FINISHED"}
        assert addon("jobs.work").state().backend.connected
        addon("jobs.work").state().disconnect()


def test_the_button_says_why_it_is_grey(blender, addon, preferences, backend):
    def reason() -> str:
        return addon("interface.availability").disabled_reason(blender.context, "connect_address")

    assert "may not go online" in reason() and "Allow Online Access" in reason()
    preferences.address = backend.address
    assert reason() == ""
    preferences.address = "no address"
    assert "is not an address" in reason()
    preferences.address = ELSEWHERE
    go_online(blender, True)
    assert reason() == ""


def test_the_check_takes_no_step_outside(blender, addon, preferences, backend):
    blender.ops.vividkeys.check_connection()
    (step,) = addon("jobs.work").state().checks
    assert (step.name, step.ok) == ("online access", False)
    assert "Allow Online Access" in step.next_step
    preferences.address = backend.address
    blender.ops.vividkeys.check_connection()
    assert all(step.ok for step in addon("jobs.work").state().checks[:3])


def test_with_online_access_it_is_tried(blender, addon, preferences, monkeypatch):
    monkeypatch.setattr(addon("connection.link"), "_WELCOME_SECONDS", 0.2)
    go_online(blender, True)
    with pytest.raises(RuntimeError, match="No backend answers"):
        blender.ops.vividkeys.connect_address()


def test_a_lost_connection_is_not_sought_again_offline(
    blender, addon, preferences, backend, monkeypatch
):
    """The backend is here, but its address counts as another computer's."""
    address = addon("shared.connection").Address
    monkeypatch.setattr(address, "is_this_computer", property(lambda self: False))
    go_online(blender, True)
    assert blender.ops.vividkeys.connect_address(address=backend.address) == {"FINISHED"}
    work = addon("jobs.work").state()
    lost = addon("connection.events").SessionState.LOST
    go_online(blender, False)
    work.pump()
    assert work.backend.connected, "an open connection is left alone"
    backend.stop()
    until = time.monotonic() + 30
    while (work.backend.connected or work.session.state is lost) and time.monotonic() < until:
        work.pump()
        time.sleep(0.01)
    assert work.session.state is addon("connection.events").SessionState.DISCONNECTED
    assert work.notice.is_error and "may not go online" in work.notice.sentences[0]
