"""Makes what a recorder leaves on a stick: one recording split into files, numbered throughout."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from app.core.case import Case
from app.core.correction import Annotation, Change, Correction, Verdict
from app.core.frame import FrameIdentity
from app.core.mask import Mask
from app.store import Library
from app.video import open_recording
from tests.helpers.clips import HEIGHT_PX, WIDTH_PX, number_of, picture

X264 = {"preset": "ultrafast", "crf": "20", "x264-params": "scenecut=0:open-gop=0"}


def write_part(
    path: Path,
    numbers: Sequence[int],
    *,
    rate: Fraction | int = 25,
    start_s: Fraction | None = None,
    created: str = "",
    size_px: tuple[int, int] = (WIDTH_PX, HEIGHT_PX),
    codec: str = "libx264",
) -> Path:
    """One file whose frames carry ``numbers``.

    Args:
        path: its suffix names the container.
        numbers: of its frames.
        rate: frames per second.
        start_s: time of the first frame; None leaves it to the container.
        created: creation_time of the header.
        size_px: (width, height).
        codec: FFmpeg's encoder.
    """
    plain = {"avoid_negative_ts": "disabled", "mpegts_copyts": "1"}
    options = {} if start_s is None or path.suffix != ".ts" else plain
    with av.open(str(path), "w", options=options) as out:
        if created:
            out.metadata["creation_time"] = created
        stream = out.add_stream(codec, rate=rate, options=X264 if codec == "libx264" else {})
        stream.width, stream.height = size_px
        stream.pix_fmt, stream.gop_size = "yuv420p", 10
        stream.codec_context.max_b_frames = 2
        stream.codec_context.thread_count = 1
        shift = Fraction(0) if start_s is None else start_s
        for at, number in enumerate(numbers):
            frame = av.VideoFrame.from_ndarray(picture(number, *size_px), "rgb24")
            frame = frame.reformat(format="yuv420p")
            frame.pts, frame.time_base = at, Fraction(1) / rate
            _mux(out, stream.encode(frame), shift)
        _mux(out, stream.encode(None), shift)
    return path


def four_parts(folder: Path, suffix: str, lengths: Sequence[int] = (30, 21, 34, 15)) -> list[Path]:
    """Four files of one recording of 100 frames; a transport stream's times go on throughout."""
    folder.mkdir(parents=True, exist_ok=True)
    out, at = [], 0
    for place, length in enumerate(lengths):
        start = Fraction(at, 25) + 10 if suffix == ".ts" else None
        path = folder / f"REC_0007_{place + 1}{suffix}"
        out.append(write_part(path, range(at, at + length), start_s=start))
        at += length
    return out


def remuxed(path: Path, to: Path) -> Path:
    """The same packets in another container."""
    with av.open(str(path)) as source, av.open(str(to), "w") as out:
        stream = source.streams.video[0]
        copied = out.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is None:
                continue
            packet.stream = copied
            out.mux(packet)
    return to


def label_every_fifth(library: Library, case: Case) -> dict[int, int]:
    """A mask on every fifth frame; pts to the number that the frame carries."""
    asset = case.assets[0]
    labelled = {}
    mask = np.zeros((asset.height_px, asset.width_px), bool)
    mask[60:90, 40:80] = True
    with open_recording(asset) as source:
        for index in range(0, len(source), 5):
            frame = source.frame(index)
            labelled[frame.pts] = number_of(frame.rgb)
            identity = FrameIdentity(asset_id=asset.asset_id, stream=asset.stream, pts=frame.pts)
            annotation = Annotation(
                annotation_id=f"a{index}",
                frame=identity,
                label="grasper",
                verdict=Verdict.DRAWN,
                mask=Mask.from_full(mask),
            )
            change = Change(object_id=annotation.annotation_id, before=None, after=annotation)
            library.writer.commit(
                Correction(case_id=case.case_id, title="Draw", changes=(change,))
            ).result()
    return labelled


def _mux(out: av.container.OutputContainer, packets: list[av.Packet], shift_s: Fraction) -> None:
    for packet in packets:
        shift = int(shift_s / packet.time_base)
        packet.pts += shift
        packet.dts += shift
        out.mux(packet)
