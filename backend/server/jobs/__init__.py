# SPDX-License-Identifier: GPL-3.0-or-later
"""The jobs that the backend does, one module for each kind; `job_kinds` finds them."""
