# SPDX-License-Identifier: GPL-3.0-or-later
"""Training of the motion network: its data, the run, fine-tuning to an actor, and export."""
