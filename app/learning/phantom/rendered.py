"""Rendered instruments: what the cut-outs lack (open jaws, blue collars, clippers, bags).

Every piece is a swept body: a half width and a centre line along the axis, lit as a cylinder.
Sizes follow the measured instruments of the stills (findings, sections 2 and 6). Pure functions.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from app.learning.phantom import noise
from app.learning.phantom.instruments import Instrument, Part, mip


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """How a surface takes light: base colour (RGB, 0..1), light side, streaks, roughness."""

    colour: tuple[float, float, float]
    side: float = -0.2
    gloss: float = 0.3
    streak_width: float = 0.12
    metal: bool = False
    ambient: float = 0.35


def near_neutral(rng: np.random.Generator, grey: float) -> tuple[float, float, float]:
    """A grey that is never perfectly neutral: slightly red, as tissue light makes it."""
    warm = rng.uniform(0.0, 0.13)
    return grey * (1 + warm), grey, grey * (1 + rng.uniform(-0.08, 0.06))


def random_finish(rng: np.random.Generator) -> Finish:
    """A shaft's finish in the measured shares: metal, matte grey, black, white."""
    kind = rng.choice(4, p=[0.38, 0.25, 0.22, 0.15])
    side = float(rng.uniform(-0.6, 0.6))
    if kind == 0:
        grey = rng.uniform(0.35, 0.65)
        return Finish(
            colour=near_neutral(rng, grey),
            side=side,
            gloss=rng.uniform(0.5, 1.5),
            metal=True,
            streak_width=rng.uniform(0.06, 0.2),
            ambient=0.3,
        )
    if kind == 1:
        grey = rng.uniform(0.28, 0.5)
        return Finish(
            colour=near_neutral(rng, grey), side=side, gloss=rng.uniform(0, 0.15), ambient=0.55
        )
    if kind == 2:
        grey = rng.uniform(0.07, 0.2)
        return Finish(
            colour=near_neutral(rng, grey),
            side=side,
            gloss=rng.uniform(0.1, 0.7),
            ambient=0.4,
            streak_width=rng.uniform(0.05, 0.15),
        )
    grey = rng.uniform(0.7, 1.25)
    return Finish(colour=near_neutral(rng, grey), side=side, gloss=rng.uniform(0, 0.4), ambient=0.5)


def steel(rng: np.random.Generator) -> Finish:
    grey = rng.uniform(0.4, 0.75)
    return Finish(
        colour=near_neutral(rng, grey),
        side=float(rng.uniform(-0.5, 0.5)),
        metal=True,
        gloss=rng.uniform(0.5, 1.4),
        streak_width=rng.uniform(0.1, 0.3),
        ambient=0.35,
    )


def swept(
    rng: np.random.Generator,
    half: np.ndarray,
    finish: Finish,
    centre: np.ndarray | float = 0.0,
    hole: tuple[float, float, float] | None = None,
) -> np.ndarray:
    """Draw one swept body; its axis is the middle row.

    Args:
        half: (L,) half widths in pixels along the axis.
        centre: (L,) sideways offset of the centre line in pixels.
        hole: start, end (shares of the length) and share of the width of a see-through slot.

    Returns:
        uint8 (H, L, 4), colour multiplied by opacity.
    """
    length = len(half)
    half = half.astype(np.float32)
    centre = np.broadcast_to(np.float32(centre), half.shape)
    reach = int(np.ceil((np.abs(centre) + half).max())) + 2
    rows = np.arange(-reach, reach + 1, dtype=np.float32)[:, None]
    apart = rows - centre
    across = np.clip(apart / np.maximum(half, 0.3), -1, 1)
    alpha = np.clip(half - np.abs(apart) + 0.5, 0, 1)
    alpha[:, 0] *= 0.5
    alpha[:, -1] *= 0.5
    if hole is not None:
        u = (np.arange(length) / max(length - 1, 1) - hole[0]) / (hole[1] - hole[0]) * 2 - 1
        slot = np.sqrt(np.clip(1 - u**6, 0, 1)) * (np.abs(u) < 1) * half * hole[2]
        alpha = alpha * np.clip(np.abs(apart) - slot + 0.5 + (slot <= 0), 0, 1)
    light = _lit(rng, across, finish)
    colour = np.float32(finish.colour) * light[..., None]
    rim = (np.abs(across) ** 4 * 0.12)[..., None]
    colour = colour * (1 - rim) + np.float32([0.45, 0.2, 0.17]) * rim
    shine = _shine(rng, across, length, finish)
    colour = np.clip(colour + shine[..., None], 0, 1) * alpha[..., None]
    return np.round(np.dstack([colour, alpha]) * 255).astype(np.uint8)


def _lit(rng, across, finish: Finish) -> np.ndarray:
    height = np.sqrt(np.clip(1 - across**2, 0, 1))
    side = finish.side
    facing = np.clip(height * np.sqrt(1 - side * side) + across * side, 0, 1)
    light = finish.ambient + (1 - finish.ambient) * facing
    if finish.metal:
        # Polished metal mirrors its surroundings: bands along the axis.
        bands = 0.45 + 1.1 * noise.line(rng, 64, rng.integers(5, 10))
        light = light * bands[((across + 1) * 31.5).astype(np.int32)]
    along = 0.8 + 0.4 * noise.line(rng, across.shape[1], 2 + across.shape[1] / 60)
    grain = noise.patch(rng, *across.shape, grain=0.6)
    return light * along * (0.9 + 0.2 * grain)


def _shine(rng, across, length, finish: Finish) -> np.ndarray:
    if finish.gloss <= 0.02:
        return np.zeros_like(across)
    broken = noise.line(rng, length, 2 + length / 35)
    strength = np.clip(broken * 1.7 - 0.45, 0, 1)
    streak = np.exp(-(((across - finish.side) / finish.streak_width) ** 2))
    if finish.metal and rng.random() < 0.5:
        second = float(np.clip(-finish.side + rng.uniform(-0.2, 0.2), -0.8, 0.8))
        streak = streak + 0.6 * np.exp(-(((across - second) / finish.streak_width) ** 2))
    return finish.gloss * streak * strength


def _part(rgba: np.ndarray, **kwargs) -> Part:
    return Part(levels=mip(rgba), pivot=(0.0, rgba.shape[0] / 2 - 0.5), **kwargs)


def _shaft(rng, width: float, length: float, finish: Finish) -> Part:
    """A shaft that ends at the wrist (the origin), widening towards the lens or away from it."""
    count = int(length)
    taper = np.clip(rng.normal(0.1, 0.12), -0.15, 0.3)
    far = np.linspace(1, 0, count)
    half = width / 2 * (1 + taper * far * length / (8 * width))
    half = np.clip(half, 0.35 * width, 0.9 * width)
    rgba = swept(rng, half, finish)
    if rng.random() < 0.35 and not finish.metal:
        _letter(rng, rgba, finish)
    for _ in range(int(rng.integers(0, 3))):
        ring = count - 1 - int(rng.uniform(0.2, 4) * width)
        if 0 < ring < count - 2:
            rgba[:, ring : ring + max(1, int(width / 18)), :3] //= 2
    if rng.random() < 0.5:
        _droplets(rng, rgba, width)
    return Part(levels=mip(rgba), pivot=(count - 1.0, rgba.shape[0] / 2 - 0.5))


def _letter(rng, rgba, finish: Finish) -> None:
    height, width = rgba.shape[:2]
    text = "".join(rng.choice(list("ABCDEHIKLMNOPRSTV0125"), int(rng.integers(4, 9))))
    size = height / 60
    ink = 0.35 if sum(finish.colour) > 0.9 else 1.8
    stencil = np.zeros((height, width), np.uint8)
    at = (max(width - int(height * rng.uniform(2.5, 6)), 0), int(height * 0.62))
    cv2.putText(
        stencil, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, 255, max(1, int(size * 2)), cv2.LINE_AA
    )
    share = (stencil / 255.0)[..., None] * 0.7
    opacity = rgba[..., 3:].astype(np.float32)
    rgba[..., :3] = np.minimum(rgba[..., :3] * (1 - share + share * ink), opacity)


def _droplets(rng, rgba, width: float) -> None:
    height, length = rgba.shape[:2]
    for _ in range(int(rng.integers(2, 14))):
        at = (int(rng.integers(length)), int(height / 2 + rng.normal(0, 0.2) * height))
        radius = max(1, int(width * rng.uniform(0.01, 0.05)))
        blood = rng.random() < 0.5
        tone = (90, 18, 18) if blood else (235, 230, 225)
        dot = np.zeros((height, length), np.uint8)
        cv2.ellipse(
            dot, at, (radius, int(radius * rng.uniform(0.6, 1.6))), 0, 0, 360, 255, -1, cv2.LINE_AA
        )
        x0, x1 = max(at[0] - 2 * radius - 2, 0), at[0] + 2 * radius + 2
        share = dot[:, x0:x1, None] / 255.0 * (0.75 if blood else 0.5)
        opacity = rgba[:, x0:x1, 3:] / 255.0
        rgba[:, x0:x1, :3] = rgba[:, x0:x1, :3] * (1 - share) + np.float32(tone) * share * opacity


def _jaw(
    rng, length: float, near: float, far: float, bow: float, finish: Finish, hole=None, **kwargs
):
    count = max(int(length), 4)
    u = np.linspace(0, 1, count)
    half = near + (far - near) * u**1.3
    half[-max(2, int(far)) :] *= np.sqrt(np.linspace(1, 0.3, max(2, int(far))))
    centre = bow * np.sin(np.pi * u * 0.8)
    return _part(swept(rng, half, finish, centre, hole), **kwargs)


def _pair(rng, length, near, far, bow, apart, hinge, finish, at, hole=None) -> list[Part]:
    return [
        _jaw(
            rng,
            length,
            near,
            far,
            side * bow,
            finish,
            hole,
            at=(at, side * apart),
            hinge_deg=side * hinge,
            bends=True,
        )
        for side in (-1, 1)
    ]


def grasper(rng: np.random.Generator, width: float, length: float) -> Instrument:
    """Shaft, wrist and two jaws from the side, or one fenestrated jaw from above."""
    finish = random_finish(rng)
    metal = steel(rng)
    wrist = _part(
        swept(rng, np.full(max(int(width * 0.9), 4), width * 0.4), metal), bends=True, at=(-2, 0)
    )
    span = width * rng.uniform(1.8, 3.4)
    start = width * 0.7
    if rng.random() < 0.6:
        slot = (0.15, 0.8, 0.45) if rng.random() < 0.4 else None
        jaws = _pair(
            rng,
            span,
            width * 0.2,
            width * 0.13,
            width * 0.12,
            width * 0.16,
            rng.uniform(10, 32),
            metal,
            start,
            slot,
        )
    else:
        jaws = [
            _jaw(
                rng,
                span,
                width * 0.34,
                width * 0.3,
                0,
                metal,
                (0.15, 0.85, 0.5),
                at=(start, 0),
                bends=True,
            )
        ]
    parts = (_shaft(rng, width, length, finish), wrist, *jaws)
    return Instrument(key="grasper", parts=parts, reach=start + span, width=width)


def bipolar(rng: np.random.Generator, width: float, length: float) -> Instrument:
    """Two slender tines behind a blue insulated part."""
    blue = replace(steel(rng), colour=_blue(rng), metal=False, gloss=0.4, ambient=0.5)
    collar_length = width * rng.uniform(0.5, 1.4)
    taper = np.linspace(0.5, 0.36, max(int(collar_length), 4)) * width
    collar = _part(swept(rng, taper, blue), bends=True, at=(-1, 0))
    span = width * rng.uniform(1.8, 3.0)
    metal = steel(rng)
    hinge = rng.uniform(5, 16)
    parts = [_shaft(rng, width, length, random_finish(rng)), collar]
    parts += _pair(
        rng,
        span,
        width * 0.16,
        width * 0.1,
        width * 0.2,
        width * 0.14,
        hinge,
        metal,
        collar_length - 2,
    )
    if rng.random() < 0.6:
        parts += _pair(
            rng,
            span * 0.45,
            width * 0.19,
            width * 0.15,
            width * 0.1,
            width * 0.14,
            hinge,
            blue,
            collar_length - 2,
        )
    return Instrument(key="bipolar", parts=tuple(parts), reach=collar_length + span, width=width)


def _blue(rng) -> tuple[float, float, float]:
    return (rng.uniform(0.05, 0.25), rng.uniform(0.25, 0.5), rng.uniform(0.6, 1.0))


def hook(rng: np.random.Generator, width: float, length: float) -> Instrument:
    """Shaft, ceramic collar (blue or white) and an L of thin metal."""
    colour = _blue(rng) if rng.random() < 0.45 else near_neutral(rng, rng.uniform(0.8, 1.3))
    ceramic = Finish(
        colour=colour, side=float(rng.uniform(-0.5, 0.5)), gloss=rng.uniform(0, 0.4), ambient=0.5
    )
    collar_length = width * rng.uniform(0.7, 2.2)
    u = np.linspace(0, 1, max(int(collar_length), 4))
    collar = _part(swept(rng, width * (0.46 - 0.26 * u**1.5), ceramic), at=(-1, 0), bends=True)
    metal = steel(rng)
    stem_length = width * rng.uniform(0.5, 1.1)
    thin = max(width * 0.07, 0.7)
    stem = _jaw(rng, stem_length, thin, thin, 0, metal, at=(collar_length - 2, 0), bends=True)
    tooth = _jaw(
        rng,
        width * rng.uniform(0.3, 0.6),
        thin,
        thin * 0.8,
        0,
        metal,
        at=(collar_length + stem_length - 3, 0),
        bends=True,
        turn_deg=float(rng.choice([-1, 1]) * rng.uniform(55, 105)),
    )
    parts = (_shaft(rng, width, length, random_finish(rng)), stem, tooth, collar)
    return Instrument(key="hook", parts=parts, reach=collar_length + stem_length, width=width)


def scissors(rng: np.random.Generator, width: float, length: float) -> Instrument:
    """Two curved pointed blades."""
    metal = steel(rng)
    span = width * rng.uniform(1.6, 2.6)
    wrist = _part(
        swept(rng, np.full(max(int(width * 0.9), 4), width * 0.38), metal), bends=True, at=(-2, 0)
    )
    start = width * 0.65
    hinge = rng.uniform(12, 34)
    bow = width * rng.uniform(-0.25, 0.25)
    blades = [
        _jaw(
            rng,
            span,
            width * 0.24,
            width * 0.03,
            bow,
            metal,
            at=(start, side * width * 0.05),
            hinge_deg=side * hinge,
            bends=True,
        )
        for side in (-1, 1)
    ]
    parts = (_shaft(rng, width, length, random_finish(rng)), wrist, *blades)
    return Instrument(key="scissors", parts=parts, reach=start + span, width=width)


def clipper(rng: np.random.Generator, width: float, length: float) -> Instrument:
    """A thick shaft with two blunt parallel jaws, often holding a bright clip."""
    width = width * 1.25
    metal = steel(rng)
    span = width * rng.uniform(1.2, 1.9)
    throat = _part(
        swept(rng, width * np.linspace(0.46, 0.36, max(int(width * 0.8), 4)), metal),
        at=(-1, 0),
        bends=True,
    )
    start = width * 0.6
    jaws = _pair(
        rng,
        span,
        width * 0.15,
        width * 0.14,
        -width * 0.08,
        width * 0.24,
        rng.uniform(2, 7),
        metal,
        start,
    )
    parts = [_shaft(rng, width, length, random_finish(rng)), throat, *jaws]
    if rng.random() < 0.6:
        bright = replace(metal, colour=(0.95, 0.95, 1.0), gloss=1.5)
        parts += _pair(
            rng,
            span * 0.6,
            width * 0.05,
            width * 0.05,
            0,
            width * 0.1,
            2,
            bright,
            start + span * 0.4,
        )
    return Instrument(key="clipper", parts=tuple(parts), reach=start + span, width=width)


def irrigator(rng: np.random.Generator, width: float, length: float) -> Instrument:
    """A plain tube with an open end and side holes."""
    finish = random_finish(rng) if rng.random() < 0.5 else replace(steel(rng), ambient=0.4)
    count = max(int(width * rng.uniform(2, 4)), 8)
    half = np.full(count, width / 2)
    ending = max(int(width * 0.25), 2)
    half[-ending:] *= np.sqrt(np.clip(1 - np.linspace(0, 0.85, ending) ** 2, 0, 1))
    tube = swept(rng, half, finish)
    middle = tube.shape[0] / 2 - 0.5
    for step in range(int(rng.integers(1, 4))):
        for side in rng.choice([-0.22, 0.0, 0.24], 2, replace=False):
            at = (int(count - width * (0.55 + 0.75 * step)), int(middle + side * width))
            size = (max(1, int(width * 0.1)), max(1, int(width * 0.07)))
            cv2.ellipse(tube, at, size, 0, 0, 360, (22, 12, 12, 255), -1, cv2.LINE_AA)
    parts = (_shaft(rng, width, length, finish), _part(tube, at=(-2, 0)))
    return Instrument(key="irrigator", parts=parts, reach=float(count), width=width)


MAKERS = {
    "grasper": grasper,
    "bipolar": bipolar,
    "hook": hook,
    "scissors": scissors,
    "clipper": clipper,
    "irrigator": irrigator,
}
