"""Capture devices of this machine by name, with what they can send. Any thread; may take a second.

FFmpeg lists them: V4L2 on Linux, DirectShow on Windows, AVFoundation on macOS. Their modes it says
only in its log, whose lines are read here.
"""

from __future__ import annotations

import logging
import re
import threading
from dataclasses import dataclass

import av
import av.logging

from app.core.errors import EnvironmentProblem
from app.video.live.spec import DEVICE_FORMAT

_MOST_MODES = 200
# As in: Raw       :     yuyv422 :           YUYV 4:2:2 : 640x480 320x240
_V4L2 = re.compile(r"(?:Raw|Compressed)\s*:\s*(\S+)\s*:.*:\s*((?:\d+x\d+\s*)+)$")
# As in: pixel_format=yuyv422  min s=640x480 fps=5 max s=640x480 fps=30
_DSHOW = re.compile(
    r"(?:pixel_format|vcodec)=(\S+)\s+min s=\d+x\d+ fps=\S+ max s=(\d+)x(\d+) fps=([\d.]+)"
)
# As in: 1280x720@[1.000000 30.000000]fps
_AVFOUNDATION = re.compile(r"(\d+)x(\d+)@\[[\d.]+ ([\d.]+)\]fps")

# FFmpeg's log goes to one place for the whole process.
_one_at_a_time = threading.Lock()
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """One way in which a device can send.

    Attributes:
        width_px, height_px: of its pictures.
        rate: most pictures per second, None where the device does not say.
        coding: FFmpeg's name of the pixel format or codec.
    """

    width_px: int
    height_px: int
    rate: float | None
    coding: str

    def __str__(self) -> str:
        rate = "" if self.rate is None else f"@{self.rate:g}"
        return f"{self.width_px}x{self.height_px}{rate}" + (
            f"/{self.coding}" if self.coding else ""
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A camera or capture card.

    Attributes:
        name: as the system shows it to people.
        address: what FFmpeg opens.
        is_default: the system's own choice.
        modes: largest first; empty where the device does not say.
    """

    name: str
    address: str
    is_default: bool = False
    modes: tuple[Mode, ...] = ()

    @property
    def spec(self) -> str:
        """How it is named as a live source; a mode may be added after ``#``."""
        return f"device:{self.name}"


def list_devices(*, modes: bool = True) -> tuple[Device, ...]:
    """The capture devices of this machine, with their modes if these are asked for.

    Raises:
        EnvironmentProblem: this FFmpeg cannot read devices.
    """
    try:
        with _one_at_a_time:
            found = av.enumerate_input_devices(DEVICE_FORMAT)
    except ValueError as error:
        raise EnvironmentProblem(
            f"Capture devices cannot be listed: {DEVICE_FORMAT} is not in this FFmpeg.", str(error)
        ) from error
    except av.FFmpegError as error:
        log.info("capture devices cannot be listed: %s", type(error).__name__)
        return ()
    devices, names = [], set()
    for one in found:
        if one.media_types and "video" not in one.media_types:
            continue
        name = one.description or one.name
        if name in names:
            name = f"{name} ({one.name})"
        names.add(name)
        address = _address(one.name)
        devices.append(
            Device(
                name=name,
                address=address,
                is_default=one.is_default,
                modes=modes_of(address) if modes else (),
            )
        )
    return tuple(devices)


def address_of(name: str) -> str:
    """What FFmpeg opens for a device's name; a path or an address stands for itself.

    Raises:
        EnvironmentProblem: there is no such device now.
    """
    if name.startswith("/dev/"):
        return name
    devices = list_devices(modes=False)
    for device in devices:
        if name in (device.name, device.address):
            return device.address
    there = ", ".join(d.name for d in devices) or "none"
    raise EnvironmentProblem(
        f"There is no capture device “{name}”; connect it. Devices found: {there}."
    )


def modes_of(address: str) -> tuple[Mode, ...]:
    """What a device says that it can send."""
    option = {"v4l2": "list_formats", "dshow": "list_options"}.get(DEVICE_FORMAT)
    options = {option: "all" if option == "list_formats" else "1"} if option else {}
    if not option:
        # AVFoundation names its modes when it is asked for one that it has not.
        options = {"video_size": "1x1", "framerate": "1"}
    with _one_at_a_time:
        level = av.logging.get_level()
        av.logging.set_level(av.logging.INFO)
        try:
            with av.logging.Capture() as lines:
                try:
                    av.open(address, format=DEVICE_FORMAT, options=options, timeout=3.0).close()
                except av.FFmpegError as error:
                    log.debug("a device listed its modes: %s", type(error).__name__)
        finally:
            av.logging.set_level(level)
    return read_modes("".join(message for _, _, message in lines))


def read_modes(text: str) -> tuple[Mode, ...]:
    """The modes in FFmpeg's log, largest first."""
    found: dict[Mode, None] = {}
    for line in text.splitlines():
        if match := _V4L2.search(line):
            for size in match[2].split():
                width, height = map(int, size.split("x"))
                found[Mode(width_px=width, height_px=height, rate=None, coding=match[1])] = None
        elif match := _DSHOW.search(line):
            size_px = int(match[2]), int(match[3])
            found[_mode(size_px, float(match[4]), match[1])] = None
        elif match := _AVFOUNDATION.search(line):
            found[_mode((int(match[1]), int(match[2])), float(match[3]), "")] = None
    ordered = sorted(found, key=lambda m: (-m.width_px * m.height_px, -(m.rate or 0.0), m.coding))
    return tuple(ordered[:_MOST_MODES])


def _mode(size_px: tuple[int, int], rate: float, coding: str) -> Mode:
    return Mode(width_px=size_px[0], height_px=size_px[1], rate=rate, coding=coding)


def _address(name: str) -> str:
    if DEVICE_FORMAT == "dshow":
        return f"video={name}"
    return f"{name}:none" if DEVICE_FORMAT == "avfoundation" else name
