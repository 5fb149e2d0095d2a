# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys for a character that has none: its face is found, and our shapes are carried over."""
