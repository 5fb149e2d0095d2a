# SPDX-License-Identifier: GPL-3.0-or-later
"""How the head-pose codebook, and the network that chooses from it, are trained."""
