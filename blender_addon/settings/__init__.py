# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user can set: on a scene, and in the preferences."""
