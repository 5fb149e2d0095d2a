# SPDX-License-Identifier: GPL-3.0-or-later
"""Training of the mesh-to-video networks, on pairs of pictures with known motion."""
