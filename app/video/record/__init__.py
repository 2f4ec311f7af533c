"""A live source to disk, crash-safe, and then to a plain MP4."""
