# SPDX-License-Identifier: GPL-3.0-or-later
"""What all trainers share: the loop itself, the processes that train together."""
