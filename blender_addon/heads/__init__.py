# SPDX-License-Identifier: GPL-3.0-or-later
"""Heads made from photos, and shape keys for the user's own characters."""
