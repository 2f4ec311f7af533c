"""Recordings in several files: found, joined, known again."""
