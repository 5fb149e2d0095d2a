# SPDX-License-Identifier: GPL-3.0-or-later
"""From films of a talking face to Takes, and to what `train motion` can be fine-tuned on."""
