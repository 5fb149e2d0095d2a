# SPDX-License-Identifier: GPL-3.0-or-later
"""What the sidebar shows, and why a button is disabled."""
