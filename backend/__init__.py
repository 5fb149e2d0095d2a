# SPDX-License-Identifier: GPL-3.0-or-later
"""The headless side of VividKeys: `python -m backend --help`."""

from __future__ import annotations

import os

# Before anything imports numpy: matrices here are so small that a second BLAS thread doubles the
# work, and threads that spin while they wait starve everything else on a laptop. Values set by the
# user stay.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
