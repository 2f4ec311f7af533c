"""The console command ``trocar`` (``python -m app`` is the same)."""

from __future__ import annotations


def main() -> None:
    """Run the command line; bare ``trocar [FILE...]`` opens the window."""
    from app.cli.main import run

    raise SystemExit(run())


if __name__ == "__main__":
    main()
