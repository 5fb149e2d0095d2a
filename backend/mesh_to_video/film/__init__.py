# SPDX-License-Identifier: GPL-3.0-or-later
"""From pictures and sound to a file: writers, provenance, the visible mark."""
