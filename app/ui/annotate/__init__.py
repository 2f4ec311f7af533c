"""The Annotate workspace: outlines and phases corrected by hand. GUI thread."""
