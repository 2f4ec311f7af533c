"""``trocar probe``: what a video file holds, and whether all of it decodes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.common import JsonOption, emit, progress

if TYPE_CHECKING:
    from app.video import VideoSource


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def probe(
        file: Annotated[Path, typer.Argument(help="The video file.", show_default=False)],
        *,
        frames: Annotated[
            bool, typer.Option("--frames", help="List every frame: index, pts, seconds, keyframe.")
        ] = False,
        verify: Annotated[
            bool, typer.Option("--verify", help="Decode everything and name what does not.")
        ] = False,
        json: JsonOption = False,
        child: Annotated[bool, typer.Option("--child", hidden=True)] = False,
    ) -> None:
        """What a file holds: streams, codec, frames, duration, problems."""
        if child:
            from app.video.probe_child import main

            raise typer.Exit(main(str(file)))
        from app.video import open_video

        with open_video(file) as source:
            found = description(source)
            if verify:
                found |= verification(source, quiet=json)
            if frames:
                found["frame_table"] = frame_table(source)
        emit(found, as_json=json)
        if not json:
            _print(file, found)


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
        "rotation_deg": info.rotation_deg,
        "time_base": f"{info.time_base.numerator}/{info.time_base.denominator}",
        "start_pts": info.start_pts,
        "end_pts": info.end_pts,
        "stream": info.stream,
        "streams": [{"index": s.index, "type": s.kind, "codec": s.codec} for s in info.streams],
        "problems": list(info.problems),
    }


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
    if found["interlaced"]:
        picture += ", interlaced"
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
