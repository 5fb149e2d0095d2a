# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames of a video made several at a time by torch, on a GPU.

What does not change is prepared by the CPU's own classes and moved to the device once; the frames
are then the CPU's within what rounding and softer edges make of them (a test compares both). All
of it has been run by torch on a CPU only so far, where it is slower than the CPU's own way:
neither the speed nor the pictures of a real GPU have been seen. Networks work in single
precision, because what half precision does to the pictures has not been seen either.
"""
