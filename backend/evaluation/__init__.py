# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures on real data, printed as tables, always with a floor and a peer beside the model."""
