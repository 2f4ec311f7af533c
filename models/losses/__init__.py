"""Losses, with the assignment of predictions to ground truth."""
