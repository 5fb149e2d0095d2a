# SPDX-License-Identifier: GPL-3.0-or-later
"""That it is here lets the tests of all rooms below import `small_films`."""
