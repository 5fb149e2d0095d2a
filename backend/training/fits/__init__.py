# SPDX-License-Identifier: GPL-3.0-or-later
"""One-off fits: how each file of fitted numbers in `backend/models` was made."""
