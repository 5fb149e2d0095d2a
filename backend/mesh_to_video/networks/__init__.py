# SPDX-License-Identifier: GPL-3.0-or-later
"""The networks of the video, and their inputs."""
