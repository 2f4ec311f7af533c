"""Training: one loop for every network, its settings, and the precision a machine is good at."""
