# SPDX-License-Identifier: GPL-3.0-or-later
"""The 52 ARKit shapes and the lip fields of a Take, made for a character without keys."""
