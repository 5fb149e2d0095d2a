# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rendered video is worth: against real clips, against its Take, against its photo."""
