"""Live sources: found, connected to, timed and decoded."""
