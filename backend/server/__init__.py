# SPDX-License-Identifier: GPL-3.0-or-later
"""The backend as a service: sockets, keys, a queue, kept results, and a process that works."""
