# SPDX-License-Identifier: GPL-3.0-or-later
"""No test of the add-on's connection meets a limit in seconds by chance."""

from tests.backend.server.patient_link import patient_limits

__all__ = ["patient_limits"]
