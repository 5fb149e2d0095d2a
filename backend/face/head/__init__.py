# SPDX-License-Identifier: GPL-3.0-or-later
"""The pieces of a head around the landmarks: skull, ears, neck, hair, eyes, mouth, teeth."""
