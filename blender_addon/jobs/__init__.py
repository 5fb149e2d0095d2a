# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs that run on the backend, and what is done with their results."""
