"""``trocar probe``: what a video file holds, and whether all of it decodes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.common import JsonOption, emit, progress

if TYPE_CHECKING:
    from app.video import StreamInfo, VideoSource

_MOST_STRETCHES = 10


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def probe(
        file: Annotated[
            Path, typer.Argument(help="The file, or a recorder's folder.", show_default=False)
        ],
        *,
        frames: Annotated[
            bool, typer.Option("--frames", help="List every frame: index, pts, seconds, keyframe.")
        ] = False,
        verify: Annotated[
            bool, typer.Option("--verify", help="Decode everything and name what does not.")
        ] = False,
        stream: Annotated[
            int | None,
            typer.Option(help="Which video stream, where there are several.", show_default=False),
        ] = None,
        json: JsonOption = False,
        child: Annotated[bool, typer.Option("--child", hidden=True)] = False,
    ) -> None:
        """What a file holds: streams, codec, frames, duration, problems."""
        if child:
            from app.video.probe_child import answer_and_end

            answer_and_end(str(file))
        from app.video import open_video

        with _joined(file) if file.is_dir() else open_video(file, stream=stream) as source:
            found = description(source)
            if verify:
                found |= verification(source, quiet=json)
                found["problems"] += damage(found["undecodable"])
            if frames:
                found["frame_table"] = frame_table(source)
        emit(found, as_json=json)
        if not json:
            _print(file, found)


def _joined(folder: Path) -> VideoSource:
    """The one recording in a folder, its parts joined."""
    from app.video import describe_joined, open_recording
    from app.video.split.joining import one_recording

    return open_recording(describe_joined(one_recording([folder]), ""))


def description(source: VideoSource) -> dict[str, Any]:
    """The open file in the words of ``probe --json``."""
    info = source.info
    return {
        "frames": info.frames,
        "duration_s": info.duration_ms / 1000,
        "width": info.width_px,
        "height": info.height_px,
        "codec": info.codec,
        "container": info.container,
        "frame_rate": float(info.frame_rate),
        "variable_frame_rate": info.is_variable_rate,
        "interlaced": info.is_interlaced,
        "field_order": info.field_order or None,
        "rotation_deg": info.rotation_deg,
        "pixel_aspect": f"{info.pixel_aspect.numerator}:{info.pixel_aspect.denominator}",
        "time_base": f"{info.time_base.numerator}/{info.time_base.denominator}",
        "start_pts": info.start_pts,
        "end_pts": info.end_pts,
        "stream": info.stream,
        "streams": [_stream(s) for s in info.streams],
        "rasters": [
            {"first_pts": r.first_pts, "width": r.width_px, "height": r.height_px}
            for r in info.rasters
        ],
        "gaps": [{"from_pts": first, "to_pts": after} for first, after in info.gaps],
        "problems": list(info.problems),
    }


def _stream(stream: StreamInfo) -> dict[str, Any]:
    size = {"width": stream.width_px, "height": stream.height_px} if stream.width_px else {}
    return {"index": stream.index, "type": stream.kind, "codec": stream.codec, **size}


def damage(undecodable: list[int]) -> list[str]:
    """What a full decode found, in a sentence for each stretch; at most ten of them."""
    stretches: list[list[int]] = []
    for index in undecodable:
        if stretches and index == stretches[-1][1] + 1:
            stretches[-1][1] = index
        else:
            stretches.append([index, index])
    words = [
        f"Frame {first} does not decode."
        if first == last
        else f"The frames {first} to {last} do not decode."
        for first, last in stretches
    ]
    more = len(words) - _MOST_STRETCHES
    return words if more <= 0 else [*words[:_MOST_STRETCHES], f"{more} more such stretches."]


def verification(source: VideoSource, *, quiet: bool) -> dict[str, Any]:
    """Decode all of it: how many frames decode, and which do not."""
    with progress("Decoding", quiet=quiet) as bar:
        task = bar.task_ids[0]
        bar.update(task, total=len(source))
        lost = source.undecodable(progress=lambda index: bar.update(task, completed=index + 1))
    return {"frames_decoded": len(source) - len(lost), "undecodable": list(lost)}


def frame_table(source: VideoSource) -> list[dict[str, Any]]:
    """One row per frame, in display order."""
    keys = source.index.key
    return [
        {
            "index": i,
            "pts": source.pts(i),
            "seconds": round(source.time_ms(i) / 1000, 6),
            "key": bool(keys[i]),
        }
        for i in range(len(source))
    ]


def _print(file: Path, found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    rate = "variable, mean " if found["variable_frame_rate"] else ""
    picture = f"{found['width']} x {found['height']}"
    if found["rotation_deg"]:
        picture += f", turned by {found['rotation_deg']} degrees"
    if found["pixel_aspect"] != "1:1":
        picture += f", pixels {found['pixel_aspect']}"
    if found["interlaced"]:
        picture += f", interlaced ({found['field_order']} field first)"
    streams = ", ".join(f"{s['index']} {s['type']} {s['codec']}" for s in found["streams"])
    table = Table(show_header=False, box=None)
    rows = {
        "File": file.name,
        "Frames": str(found["frames"]),
        "Length": f"{found['duration_s']:.3f} s",
        "Picture": picture,
        "Codec": f"{found['codec']} in {found['container']}",
        "Frame rate": f"{rate}{found['frame_rate']:.3f} per second",
        "Time base": f"{found['time_base']}, from pts {found['start_pts']}",
        "Streams": streams,
    }
    if "undecodable" in found:
        lost = ", ".join(map(str, found["undecodable"])) or "none"
        rows["Decoded"] = f"{found['frames_decoded']} frames; not decodable: {lost}"
    rows["Problems"] = "\n".join(found["problems"]) or "none"
    for name, value in rows.items():
        table.add_row(name, value)
    console.print(table)
    if "frame_table" in found:
        _print_frames(console, found["frame_table"])


def _print_frames(console: Any, rows: list[dict[str, Any]]) -> None:
    console.print(f"{'index':>8} {'pts':>14} {'seconds':>12}  key")
    for row in rows:
        key = "key" if row["key"] else ""
        console.print(f"{row['index']:>8} {row['pts']:>14} {row['seconds']:>12.3f}  {key}")
