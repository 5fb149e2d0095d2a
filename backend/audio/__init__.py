# SPDX-License-Identifier: GPL-3.0-or-later
"""From a file or bytes to one channel of float32 samples at 16 kHz, and from those to log-mel."""
