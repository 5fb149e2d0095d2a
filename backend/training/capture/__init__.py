# SPDX-License-Identifier: GPL-3.0-or-later
"""From films of a talking face to Takes, and to data that `train motion` can fine-tune on."""
