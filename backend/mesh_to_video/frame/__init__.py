# SPDX-License-Identifier: GPL-3.0-or-later
"""Geometry of one frame of the video: the moving person over the background."""
