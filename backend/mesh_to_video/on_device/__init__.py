# SPDX-License-Identifier: GPL-3.0-or-later
"""Batches of video frames rendered by torch, on a GPU.

Everything that does not change is prepared by the CPU classes and moved to the device once; the
frames match the CPU's up to rounding and slightly softer edges (a test compares both). So far all
of it has only been run by torch on a CPU, where it is slower than the CPU classes: neither speed
nor pictures on a real GPU have been checked. Networks run in single precision, because the effect
of half precision on the pictures has not been checked either.
"""
