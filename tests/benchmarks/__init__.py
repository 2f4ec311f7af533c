"""The benchmark suite behind ``trocar bench``. Nothing here is part of the installed program."""
