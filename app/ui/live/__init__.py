"""The Live workspace: a camera with its overlay, recorded while it is watched."""
