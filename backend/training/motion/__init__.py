# SPDX-License-Identifier: GPL-3.0-or-later
"""How the motion network is prepared for, trained, adapted to an actor and exported."""
