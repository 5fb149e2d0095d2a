# SPDX-License-Identifier: GPL-3.0-or-later
"""What `install.py` is made of: standard library only, Python 3.9 and newer."""
