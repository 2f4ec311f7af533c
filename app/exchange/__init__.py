"""Foreign formats, one file each: read and write. Pure functions over core types."""
