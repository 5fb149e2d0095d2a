# SPDX-License-Identifier: GPL-3.0-or-later
"""Stage 1: a voice becomes a Take. The network, the decoding of its outputs, eyes and head."""
