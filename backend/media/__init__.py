# SPDX-License-Identifier: GPL-3.0-or-later
"""The doors for pictures, films and sounds of other programs: nothing else here opens them."""
