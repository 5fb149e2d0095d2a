# SPDX-License-Identifier: GPL-3.0-or-later
"""The jobs that the backend runs, one module per kind; `job_kinds` finds them."""
