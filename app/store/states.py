"""States of a case's objects as stored bytes, and the hashes that guard them. Any thread."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Sequence
from typing import Any

from app.core.correction import (
    Annotation,
    Bookmark,
    CaseFields,
    Change,
    FrameReview,
    HumanTimeline,
    PredictionRef,
    State,
    Verdict,
)
from app.core.frame import FrameIdentity
from app.core.mask import Mask
from app.core.timeline import Segment, Timeline


def canonical(value: object) -> bytes:
    """JSON with one spelling per value."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def digest(*values: object) -> bytes:
    """SHA-256 (32 bytes) over values; bytes among them count by their own hash."""
    plain = [hashlib.sha256(v).hexdigest() if isinstance(v, bytes) else v for v in values]
    return hashlib.sha256(canonical(plain)).digest()


def object_id(state: State) -> str:
    """The id under which a ``Change`` names the object of ``state``."""
    if isinstance(state, Annotation):
        return state.annotation_id
    if isinstance(state, FrameReview):
        return f"review:{state.frame.asset_id}:{state.frame.stream}:{state.frame.pts}"
    if isinstance(state, Bookmark):
        return f"bookmark:{state.frame.asset_id}:{state.frame.stream}:{state.frame.pts}"
    if isinstance(state, HumanTimeline):
        return f"timeline:{state.asset_id}"
    return "case"


def encode_state(state: State | None) -> dict[str, Any] | None:
    """A state as plain JSON values."""
    if state is None:
        return None
    if isinstance(state, Annotation):
        source = state.source
        return {
            "kind": "annotation",
            "id": state.annotation_id,
            "frame": _encode_frame(state.frame),
            "label": state.label,
            "mask": base64.b64encode(state.mask.to_bytes()).decode(),
            "verdict": state.verdict.value,
            "source": None if source is None else [source.run_id, source.instance],
            "track": state.track,
        }
    if isinstance(state, FrameReview):
        return {"kind": "review", "frame": _encode_frame(state.frame)}
    if isinstance(state, Bookmark):
        return {"kind": "bookmark", "frame": _encode_frame(state.frame), "note": state.note}
    if isinstance(state, HumanTimeline):
        line = state.timeline
        return {
            "kind": "timeline",
            "asset": state.asset_id,
            "start": line.start_pts,
            "end": line.end_pts,
            "segments": [[s.start_pts, s.end_pts, s.phase] for s in line.segments],
        }
    return {
        "kind": "case",
        "title": state.title,
        "procedure": state.procedure,
        "state": state.state,
    }


def decode_state(data: dict[str, Any] | None) -> State | None:
    """The inverse of ``encode_state``."""
    if data is None:
        return None
    kind = data["kind"]
    if kind == "annotation":
        source = data["source"]
        return Annotation(
            annotation_id=data["id"],
            frame=_decode_frame(data["frame"]),
            label=data["label"],
            mask=Mask.from_bytes(base64.b64decode(data["mask"])),
            verdict=Verdict(data["verdict"]),
            source=source and PredictionRef(run_id=source[0], instance=source[1]),
            track=data["track"],
        )
    if kind == "review":
        return FrameReview(frame=_decode_frame(data["frame"]))
    if kind == "bookmark":
        return Bookmark(frame=_decode_frame(data["frame"]), note=data["note"])
    if kind == "timeline":
        segments = tuple(
            Segment(start_pts=a, end_pts=b, phase=phase) for a, b, phase in data["segments"]
        )
        line = Timeline(start_pts=data["start"], end_pts=data["end"], segments=segments)
        return HumanTimeline(asset_id=data["asset"], timeline=line)
    return CaseFields(title=data["title"], procedure=data["procedure"], state=data["state"])


def _encode_frame(frame: FrameIdentity) -> list[str | int]:
    return [frame.asset_id, frame.stream, frame.pts]


def _decode_frame(data: Sequence[Any]) -> FrameIdentity:
    return FrameIdentity(asset_id=data[0], stream=data[1], pts=data[2])


def encode_changes(changes: Sequence[Change]) -> tuple[bytes, bytes, bytes]:
    """Changes as stored bytes, with the SHA-256 of all states before and of all after."""
    before = [encode_state(c.before) for c in changes]
    after = [encode_state(c.after) for c in changes]
    ids = [c.object_id for c in changes]
    return zlib.compress(canonical([ids, before, after]), 1), digest(before), digest(after)


def decode_changes(data: bytes) -> tuple[Change, ...]:
    """The inverse of ``encode_changes``."""
    ids, before, after = json.loads(zlib.decompress(data))
    return tuple(
        Change(object_id=i, before=decode_state(b), after=decode_state(a))
        for i, b, a in zip(ids, before, after, strict=True)
    )
