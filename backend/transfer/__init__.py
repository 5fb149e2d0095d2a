# SPDX-License-Identifier: GPL-3.0-or-later
"""A character without keys gets the 52 ARKit shapes and the lip fields of a Take."""
