# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets VividKeys up and runs it: `python install.py demo`, `python install.py test`.

This file stays readable to very old Pythons, so that they can say what is missing instead of
failing with a syntax error. Everything else is in the folder installer/.
"""

import os
import sys

if sys.version_info < (3, 9):
    sys.stderr.write(
        "This is Python %d.%d, which is too old to start the set-up: install Python 3.11 and run "
        "'python3.11 install.py' again.\n" % tuple(sys.version_info[:2])
    )
    sys.exit(1)

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from installer.command_line import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
