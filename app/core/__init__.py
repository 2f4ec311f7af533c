"""The field's words as types: frames, masks, instances, timelines, cases, corrections.

numpy and the standard library only. Every other room may import this one; it imports none.
"""
