# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: one file per command, each a typed dataclass whose `run` does the work.

Heavy libraries are imported inside `run`, so that `--help` answers at once.
"""
