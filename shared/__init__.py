# SPDX-License-Identifier: GPL-3.0-or-later
"""The contracts between the extension and the backend, importable by both."""
