# SPDX-License-Identifier: GPL-3.0-or-later
"""How a performance is given: style and moods on finished curves, eyes drawn anew."""
