# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m backend`: the command line of the headless side."""

from __future__ import annotations

import sys

from backend.commands.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
