"""Trainings as they go on and as they went: curves, samples, the list of runs."""
