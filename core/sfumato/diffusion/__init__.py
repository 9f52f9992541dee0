"""The primitives every method is written in: schedule, rows, attention, text, inversion, blending.

x_t = √ᾱ_t x_0 + √(1-ᾱ_t) ε throughout; ᾱ is called `a` in code, a level is an index into it.
"""
