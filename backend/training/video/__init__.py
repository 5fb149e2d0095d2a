# SPDX-License-Identifier: GPL-3.0-or-later
"""What the networks of mesh to video learn from: pairs of pictures with known motion."""
