# SPDX-License-Identifier: GPL-3.0-or-later
"""The quality of rendered videos: against real clips, their Takes and their photos."""
