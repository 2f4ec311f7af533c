"""Trocar: review, correction and learning for endoscope video. Research and education only."""

__version__ = "0.1.0"
