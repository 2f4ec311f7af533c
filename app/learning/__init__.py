"""Corrections and public pictures -> frozen training set -> run -> evaluation -> promotion.

torch is imported when first needed. Training runs in its own process.
"""
