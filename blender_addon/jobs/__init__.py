# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs that run on the backend, and what becomes of their results."""
