# SPDX-License-Identifier: GPL-3.0-or-later
"""Speech with phone times: synthetic voices and aligned recordings, cached as plain arrays."""
