# SPDX-License-Identifier: GPL-3.0-or-later
"""How the demo's part inside Blender talks to the part outside.

In a file of its own, because the part inside must load nothing of the checkout's `shared/`: it
shows that the extension brings all that it needs.
"""

from __future__ import annotations

SHOWN = "@@ "
"""Begins a line that the person is to see."""
FAILED = "@! "
"""Begins a sentence about a failure that is the input's."""
REFUSED = 3
"""The exit code after such a failure."""
