# SPDX-License-Identifier: GPL-3.0-or-later
"""One layout for all heads, and the photo baked into it."""
