"""The sound of a recording, by the clock of its player."""
