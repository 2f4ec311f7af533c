"""An excerpt of a recording as a file of its own."""
