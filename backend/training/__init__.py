# SPDX-License-Identifier: GPL-3.0-or-later
"""How the shipped weights are made: corpora with phone times, articulation teacher, trainer.

Nothing outside this package imports it; the product runs from the weights alone.
"""
