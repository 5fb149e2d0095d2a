# SPDX-License-Identifier: GPL-3.0-or-later
"""The version of VividKeys, for both processes, the extension's manifest and the saved files."""

__version__ = "0.1.0"
