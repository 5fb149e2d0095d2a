# SPDX-License-Identifier: GPL-3.0-or-later
"""One file per action of the panel."""
