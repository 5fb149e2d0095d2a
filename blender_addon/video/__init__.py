# SPDX-License-Identifier: GPL-3.0-or-later
"""Films and sounds in Blender's sequencer."""
