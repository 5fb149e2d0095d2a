# SPDX-License-Identifier: GPL-3.0-or-later
"""The way to the backend: process, sockets, session, transfers. No bpy in here."""
