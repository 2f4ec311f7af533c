"""``trocar record``: a live source to a file, and what a crash left of one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.common import (
    JsonOption,
    LibraryOption,
    emit,
    has_library,
    library_folder,
    open_library,
    progress,
)
from app.core.errors import BadInput, EnvironmentProblem, Refused

if TYPE_CHECKING:
    from rich.progress import Progress

    from app.live import Recovered
    from app.video.live.capture import Capture
    from app.video.live.state import LiveState
    from app.video.record.recorder import Recorder
    from app.video.record.state import RecordingState

_TICK_S = 0.1
_STILL_S = 10.0
"""A recording that is being written was written to less long ago, where its signal is there."""


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("record")
    def record(
        source: Annotated[
            str | None,
            typer.Argument(
                help="rtsp://, rtmp://, srt://, udp://, tcp://, http(s)://, device:NAME, "
                "screen:X,Y,WxH or file:PATH. With --recover: a .ts file.",
                show_default=False,
            ),
        ] = None,
        out: Annotated[
            Path | None, typer.Option("--out", help="The MP4 file to make.", show_default=False)
        ] = None,
        *,
        seconds: Annotated[
            float | None,
            typer.Option(
                help="End after this time. Default: when the source ends, or at Ctrl+C.",
                min=0.0,
                show_default=False,
            ),
        ] = None,
        wait: Annotated[
            float, typer.Option(help="Give up where no picture came for so many seconds.", min=0.0)
        ] = 30.0,
        list_: Annotated[
            bool, typer.Option("--list", help="List cameras and capture cards with their modes.")
        ] = False,
        recover: Annotated[
            bool,
            typer.Option(
                "--recover",
                help="Finish what a crash interrupted: recordings of the library, or one .ts file.",
            ),
        ] = False,
        library: LibraryOption = None,
        json: JsonOption = False,
    ) -> None:
        """Record a live source to an MP4 file.

        While it runs, an MPEG-TS is written beside it (.ts). What a crash leaves of that plays,
        and "trocar record --recover FILE.ts" makes the MP4 of it.
        """
        if list_:
            _list(as_json=json)
        elif recover and source is not None:
            _recover_file(Path(source), out, library, as_json=json)
        elif recover:
            _recover(library, as_json=json)
        elif source is None or out is None:
            raise typer.BadParameter("name a source and a file: trocar record SOURCE --out FILE")
        else:
            _record(source, out, seconds, wait, as_json=json)


def _list(*, as_json: bool) -> None:
    from app.video.live.devices import list_devices

    devices = list_devices()
    data = [
        {"name": d.name, "source": d.spec, "default": d.is_default, "modes": [*map(str, d.modes)]}
        for d in devices
    ]
    lines = [f"{d.spec}\n" + "".join(f"    {mode}\n" for mode in d.modes) for d in devices]
    emit(data, as_json=as_json, text="".join(lines) or "No camera or capture card was found.")


def _recover(library: Path | None, *, as_json: bool) -> None:
    from app.live import recover

    found: tuple[Recovered, ...] = ()
    # The usual place may have no library yet; another one that was named has to be there.
    named = library is not None and library_folder(library) != library_folder(None)
    if named or has_library(library):
        with open_library(library, "write", must_exist=True) as opened:
            found = tuple(recover(opened))
    text = "\n".join(r.sentence for r in found) or "There is nothing to finish."
    data = [
        {
            "case": r.case_id,
            "seconds": r.length_s,
            "interrupted": r.was_interrupted,
            "sentence": r.sentence,
        }
        for r in found
    ]
    emit(data, as_json=as_json, text=text)


def _recover_file(stream: Path, out: Path | None, library: Path | None, *, as_json: bool) -> None:
    """The MP4 of a recording that stands in no library."""
    from app.video import open_video

    out = out or stream.with_suffix(".mp4")
    _check_target(out)
    if stream.suffix.lower() != ".ts" or not stream.is_file():
        raise BadInput(f"{stream.name} is no recording to finish; name the .ts file that is there.")
    if time.time() - stream.stat().st_mtime < _STILL_S:
        raise Refused(
            f"{stream.name} was written to just now; end that recording, or wait ten seconds."
        )
    _refuse_if_known(stream, library)
    with open_video(stream) as source:
        seconds = source.info.duration_ms / 1000
    frames = _finish(stream, out)
    data = {"file": str(out), "frames": frames, "duration_s": seconds}
    # It may as well be somebody's original, with sound.
    text = f"{out}: {frames} frames, {seconds:.1f} s\n{stream.name} stays; delete it when you like."
    emit(data, as_json=as_json, text=text)


def _refuse_if_known(stream: Path, library: Path | None) -> None:
    """A recording of the library is finished there, so that its case goes on knowing it."""
    if not has_library(library):
        return
    with open_library(library, "read") as opened:
        for recording in opened.recordings():
            if Path(recording.path).resolve() == stream.resolve():
                raise Refused(
                    f"{stream.name} is the recording of case {recording.case_id}; “trocar record "
                    "--recover” without a file finishes it."
                )


def _check_target(out: Path) -> None:
    if out.suffix.lower() != ".mp4":
        raise BadInput(f"{out.name} cannot be recorded; name a file that ends in .mp4.")
    if out.exists():
        raise BadInput(f"{out.name} is there already; name another file.")


def _finish(stream: Path, out: Path) -> int:
    """Number of frames in the MP4 of ``stream``."""
    from app.video.record.finalise import StaysMpegTs, finalise

    try:
        made = finalise(stream, out)
    except StaysMpegTs:
        raise
    except EnvironmentProblem as error:
        again = f"“trocar record --recover {stream.name}” tries it again."
        raise EnvironmentProblem(f"{error.user_message} {again}", error.detail) from error
    return made.frames


def _record(source: str, out: Path, seconds: float | None, wait_s: float, *, as_json: bool) -> None:
    from app.video.live.capture import Capture
    from app.video.live.spec import parse_spec
    from app.video.record.recorder import Recorder

    _check_target(out)
    spec = parse_spec(source)
    stream = out.with_suffix(".ts")
    if stream.exists():
        raise BadInput(
            f"{stream.name} is there already, perhaps of a recording that was interrupted; then "
            f"“trocar record --recover {stream.name}” finishes it. Or name another file."
        )
    recorder = Recorder(stream)
    capture = Capture(spec, on_packet=recorder.put)
    began_utc = time.time()
    came = True
    try:
        capture.start()
        with progress("Recording", quiet=as_json) as bar:
            came = _follow(capture, recorder, seconds, wait_s, bar)
    finally:
        capture.close()
        state = recorder.stop()
        if not state.frames:
            recorder.path.unlink(missing_ok=True)
    live = capture.state
    if not state.frames:
        raise EnvironmentProblem(_nothing_came(live))
    frames = _finish(recorder.path, out)
    recorder.path.unlink(missing_ok=True)
    data = _report(out, frames, state, live, began_utc)
    data["signal_lost"] = not came
    if not came:
        lost = f"It ended because no picture had come for {wait_s:g} s; --wait makes that longer."
        data["sentence"] = f"{lost} {state.sentence}".rstrip()
    emit(data, as_json=as_json, text=_text(out, data))


def _follow(
    capture: Capture, recorder: Recorder, seconds: float | None, wait_s: float, bar: Progress
) -> bool:
    """Until the time is over, the source ends, fails or stays away, or the user stops it.

    Returns:
        False where it stayed away.
    """
    from app.video.live.state import LiveStatus

    seen_s, frames = time.monotonic(), 0

    task = bar.task_ids[0]
    bar.update(task, total=seconds)
    try:
        while True:
            state, live = recorder.state, capture.state
            if not state.is_running or live.status in (LiveStatus.ENDED, LiveStatus.FAILED):
                return True
            if seconds is not None and state.length_s >= seconds:
                return True
            if state.frames != frames:
                seen_s, frames = time.monotonic(), state.frames
            if time.monotonic() - seen_s > wait_s:
                return False
            words = state.sentence or live.sentence
            bar.update(task, completed=state.length_s, description=words.rstrip("."))
            time.sleep(_TICK_S)
    except KeyboardInterrupt:
        return True


def _nothing_came(live: LiveState) -> str:
    from app.video.live.state import LiveStatus

    said = live.sentence.rstrip(".") + "." if live.sentence else ""
    if live.status is LiveStatus.FAILED and said:
        return said
    return (
        f"No picture came, so nothing was recorded; see that the source sends to this address, "
        f"or wait longer with --wait. {said}"
    ).rstrip()


def _report(
    out: Path, frames: int, state: RecordingState, live: Any, began_utc: float
) -> dict[str, Any]:
    return {
        "file": str(out),
        "frames": frames,
        "duration_s": state.length_s,
        "bytes": out.stat().st_size,
        "copied": state.is_copy,
        "sha256_of_stream": state.sha256,
        "gaps": [g.length_s for g in live.gaps],
        "reconnects": live.reconnects,
        "stopped_early": state.stopped_early,
        "sentence": state.sentence,
        "began_utc": began_utc,
    }


def _text(out: Path, data: dict[str, Any]) -> str:
    lines = [f"{out}: {data['frames']} frames, {data['duration_s']:.1f} s"]
    if data["gaps"]:
        lengths = ", ".join(f"{g:.1f} s" for g in data["gaps"])
        lines.append(f"Without a signal: {lengths}")
    if data["sentence"]:
        lines.append(data["sentence"])
    return "\n".join(lines)
