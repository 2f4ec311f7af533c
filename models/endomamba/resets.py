"""Staggered resets: two streams that start afresh in turn, so that none runs far beyond training.

The released streaming test (`smart_test.py`) zeroes stream 1 before frames 48, 80, 112, ... and
stream 0 before frames 64, 96, 128, ..., and reports the stream with 16 to 31 earlier frames, from
frame 64 on. Pure functions of frame numbers; a state's sequences lie stream after stream.
"""

from collections.abc import Iterator

import torch

from models.endomamba.state import State

RESET_WINDOW_FRAMES = 32
"""Length of the clips the released phase model was trained on."""


def segments(first_frame: int, frames: int, streams: int) -> Iterator[tuple[int, int]]:
    """Cuts a clip where a stream may start afresh; one piece where there are no resets."""
    if streams == 1:
        yield 0, frames
        return
    half = RESET_WINDOW_FRAMES // 2
    start = 0
    while start < frames:
        stop = min(frames, start + half - (first_frame + start) % half)
        yield start, stop
        start = stop


def reset_due_stream(state: State) -> State:
    """Zeroes stream 1 before frames 48, 80, 112, ... and stream 0 before frames 64, 96, ..."""
    half = RESET_WINDOW_FRAMES // 2
    turn, into = divmod(state.frames, half)
    if into or turn < 3:
        return state
    due = torch.zeros(2, dtype=torch.bool, device=state.ssm.device)
    due[turn % 2] = True
    due = due.repeat_interleave(state.ssm.shape[1] // 2).view(-1, 1, 1)
    conv, ssm = state.conv.masked_fill(due, 0), state.ssm.masked_fill(due, 0)
    return State(conv=conv, ssm=ssm, frames=state.frames)


def shown_stream(after: State, streams: int) -> int:
    """The stream that is reported for the segment that ended with this state."""
    turn = (after.frames - 1) // (RESET_WINDOW_FRAMES // 2)
    return 0 if streams == 1 or turn < 4 else (turn + 1) % 2
