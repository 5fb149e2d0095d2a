# SPDX-License-Identifier: GPL-3.0-or-later
"""The networks of the video, and what they are shown."""
