# SPDX-License-Identifier: GPL-3.0-or-later
"""One frame of the video: the person in motion over their background."""
