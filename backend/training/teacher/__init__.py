# SPDX-License-Identifier: GPL-3.0-or-later
"""The articulation teacher: from phones to curves and driven lips."""
