# SPDX-License-Identifier: GPL-3.0-or-later
"""Edits of finished performances: style and moods on the curves, eyes generated again."""
