# SPDX-License-Identifier: GPL-3.0-or-later
"""The texture: one layout for all heads, and the photo baked into it."""
