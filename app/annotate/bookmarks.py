"""Bookmarks: moments that a human wants to find again. Pure functions."""

from __future__ import annotations

from app.core.correction import Bookmark, Change, Correction
from app.core.frame import FrameIdentity


def mark(
    case_id: str, frame: FrameIdentity, present: Bookmark | None, note: str = ""
) -> Correction:
    """Mark a frame, or give its bookmark another note.

    Args:
        case_id: which case.
        frame: the moment.
        present: the bookmark it has, None without one.
        note: what stands there; may be empty.
    """
    title = "Change a bookmark's note" if present else "Set a bookmark"
    return _change(case_id, title, frame, present, Bookmark(frame=frame, note=note.strip()))


def remove(case_id: str, present: Bookmark) -> Correction:
    """Take a bookmark away."""
    return _change(case_id, "Remove a bookmark", present.frame, present, None)


def _change(
    case_id: str, title: str, frame: FrameIdentity, before: Bookmark | None, after: Bookmark | None
) -> Correction:
    id_ = f"bookmark:{frame.asset_id}:{frame.stream}:{frame.pts}"
    change = Change(object_id=id_, before=before, after=after)
    return Correction(case_id=case_id, title=title, changes=(change,))
