# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender's own switch for going online, read before each connection."""

from __future__ import annotations

import bpy

from ..contracts import connection, errors


def refusal(address: str) -> errors.VividKeysError | None:
    """Why Blender may not connect to the address, as an error to raise or show; None if it may.

    A backend on this computer is always allowed. Raises VividKeysError(bad_request) for a text that
    is not an address.
    """
    where = connection.parse_address(address)
    if bpy.app.online_access or where.is_this_computer:
        return None
    # Blender was started with --offline-mode: then its preference has no effect.
    step = (
        "Start Blender without --offline-mode."
        if bpy.app.online_access_override
        else "Tick Preferences > System > Network > Allow Online Access, and connect again."
    )
    return errors.VividKeysError(
        errors.ErrorKind.OFFLINE,
        f"'{where.host}' is another computer, and Blender may not go online.",
        step,
    )
