# SPDX-License-Identifier: GPL-3.0-or-later
"""The only modules that open pictures, films and sounds made by other programs."""
