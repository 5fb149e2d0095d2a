# SPDX-License-Identifier: GPL-3.0-or-later
"""From a Take to keys on the user's targets, and from keys to files."""
