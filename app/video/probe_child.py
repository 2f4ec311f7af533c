"""The child process of the first look: opens an untrusted file under limits. Writes nothing.

Prints one JSON object: ``{"problem": sentence or null, "kind", "detail"}``; of a survey, a line for
each file.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import NoReturn

import av

from app.core.errors import BadInput, TrocarError
from app.video import container as media
from app.video.dicom.recording import is_dicom, open_for_first_look
from app.video.dicom.survey import survey
from app.video.encryption import check_not_encrypted
from app.video.first_look import TIME_LIMIT_S
from app.video.mp4_boxes import is_reference, video_track_boxes

# Of address space, most of which are libraries that are never touched; and of data.
ADDRESS_LIMIT_BYTES, MEMORY_LIMIT_BYTES = 1 << 30, 400 << 20
_PACKETS = 600
_DATA_REFERENCES = (b"mdia", b"minf", b"dinf", b"dref")


def main(argument: str) -> int:
    """Limit this process, look at the file, print what was found.

    Args:
        argument: the file; "-" to be told its name, or what to survey, on standard input.
    """
    limit_this_process()
    if argument == "-":
        request = sys.stdin.buffer.read()
        if request.startswith(b"\0"):
            for answer in survey(request):
                sys.stdout.write(json.dumps(answer) + "\n")
                sys.stdout.flush()
            return 0
        argument = os.fsdecode(request)
        if not argument:
            return 0
    answer: dict[str, str | None] = {"problem": None, "kind": None}
    try:
        look(Path(argument))
    except TrocarError as error:
        answer = {
            "problem": error.user_message,
            "kind": type(error).__name__,
            "detail": error.detail,
        }
    except MemoryError:
        sentence = "asks for more memory than a video may; it is damaged."
        answer = {"problem": f"{Path(argument).name} {sentence}", "kind": "BadInput"}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


def answer_and_end(argument: str) -> NoReturn:
    """``main``, and the end of this process at once: Python's own takes far longer than a look."""
    code = main(argument)
    sys.stdout.flush()
    os._exit(code)


def limit_this_process() -> None:
    """Bound memory and processor time, and forbid writing, where the system can (POSIX)."""
    try:
        import resource
    except ImportError:
        return
    seconds = int(TIME_LIMIT_S)
    for what, limit in (
        (resource.RLIMIT_AS, ADDRESS_LIMIT_BYTES),
        (resource.RLIMIT_DATA, MEMORY_LIMIT_BYTES),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        bounded = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        try:
            resource.setrlimit(what, (bounded, hard))
        except (ValueError, OSError):
            continue


def look(path: Path) -> None:
    """Open the file and decode until the first picture comes, or 600 packets have passed.

    Raises:
        BadInput: why the file will not be taken.
    """
    found = open_for_first_look(path) if is_dicom(path) else media.open_container(path)
    if found is None:
        return
    with found as opened:
        check_not_encrypted(path)
        check_no_references(path)
        stream = media.video_stream(opened, path)
        media.check_claims(opened, stream, path)
        media.prepare_decoder(stream, threads=1)
        for _, packet in zip(range(_PACKETS), media.read_packets(opened, stream), strict=False):
            try:
                pictures = packet.decode()
            except av.FFmpegError:
                continue
            for picture in pictures:
                media.check_size(picture.width, picture.height, path)
                return
        if not stream.decode(None):
            known = stream.codec_context.width > 0
            reason = "damaged or encrypted" if known else "damaged, or too large (40 megapixels)"
            raise BadInput(f"{path.name}: none of its pictures can be decoded; it is {reason}.")


def check_no_references(path: Path) -> None:
    """Raise BadInput for a file whose pictures lie in another one; that is never opened."""
    if any(map(is_reference, video_track_boxes(path, *_DATA_REFERENCES))):
        raise BadInput(
            f"{path.name} holds no pictures of its own but a reference to another file, which is "
            "not followed; open that file."
        )


if __name__ == "__main__":
    answer_and_end(sys.argv[1])
