"""The command line: one file per command. Works without Qt and without a display."""
