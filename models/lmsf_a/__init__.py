"""LMSF-A: light multi-scale instance segmentation for endoscopy."""

from models.lmsf_a.network import LMSFA


def build(**options: object) -> LMSFA:
    """Builds the network; the options are `LMSFA`'s."""
    return LMSFA(**options)  # type: ignore[arg-type]
