"""High dynamic range and wide colour brought to BT.709, picture by picture. Any thread.

A fixed curve without regard to the content, so that a frame looks the same however it was reached.
"""

from __future__ import annotations

from enum import StrEnum

import cv2
import numpy as np
from numpy.typing import NDArray

# A recording is taken as graded for a peak of 1,000 cd/m², the one that BT.2100 names for
# HLG; its diffuse white and the peak of what is shown are 203 cd/m² (ITU-R BT.2408).
PEAK_NITS, WHITE_NITS = 1000.0, 203.0
_GAMMA = 2.4
_STEPS = 1 << 16
_PQ_M1, _PQ_M2 = 2610 / 16384, 2523 / 4096 * 128
_PQ_C1, _PQ_C2, _PQ_C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32

# ITU-R BT.2087: linear BT.2020 to linear BT.709.
_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]],
    np.float32,
)
_LUMINANCE = np.array([[0.2627, 0.6780, 0.0593]], np.float32)


class Transfer(StrEnum):
    """How a wide-colour picture's values stand for light."""

    PQ = "PQ"
    HLG = "HLG"
    SDR = "SDR"


class ToneMapper:
    """Turns 16-bit BT.2020 pictures of one transfer into 8-bit BT.709 ones.

    Light of the display (PQ: SMPTE ST 2084; HLG: ITU-R BT.2100 with its OOTF for 1,000 cd/m²;
    otherwise gamma 2.4), BT.709 primaries, the EETF of ITU-R BT.2390-10 §5.4 on each channel, and
    the inverse of BT.1886.
    """

    def __init__(self, transfer: Transfer) -> None:
        self._transfer = transfer
        coded = np.linspace(0, 1, _STEPS)
        if transfer is Transfer.PQ:
            light = np.minimum(pq_to_nits(coded) / PEAK_NITS, 1)
        elif transfer is Transfer.HLG:
            light = hlg_to_scene(coded)
        else:
            light = coded**_GAMMA
        self._to_light = light.astype(np.float32)
        # Indexed by the root of light, which spreads the dark values.
        shown = coded**2
        if transfer is not Transfer.SDR:
            shown = compressed(shown * PEAK_NITS) / WHITE_NITS
        self._to_code = (shown ** (1 / _GAMMA) * 255).round().astype(np.uint8)

    def bt709(self, picture: NDArray[np.uint16]) -> NDArray[np.uint8]:
        """R'G'B' uint16 (H, W, 3), 0 to 65535 in full range, as uint8 (H, W, 3)."""
        light = cv2.LUT(np.ascontiguousarray(picture), self._to_light)
        if self._transfer is Transfer.HLG:
            luminance = cv2.transform(light, _LUMINANCE)
            light = light * cv2.pow(luminance, 0.2)[..., None]
        light = cv2.transform(light, _TO_BT709)
        np.clip(light, 0, 1, out=light)
        cv2.sqrt(light, light)
        light *= _STEPS - 1
        return cv2.LUT(light.astype(np.uint16), self._to_code).astype(np.uint8, copy=False)


def pq_to_nits(coded: NDArray[np.float64]) -> NDArray[np.float64]:
    """The EOTF of SMPTE ST 2084: coded 0 to 1 to cd/m², 0 to 10,000."""
    power = coded ** (1 / _PQ_M2)
    base = np.maximum(power - _PQ_C1, 0) / (_PQ_C2 - _PQ_C3 * power)
    nits: NDArray[np.float64] = 10_000 * base ** (1 / _PQ_M1)
    return nits


def nits_to_pq(nits: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inverse of ``pq_to_nits``."""
    power = (nits / 10_000) ** _PQ_M1
    coded: NDArray[np.float64] = ((_PQ_C1 + _PQ_C2 * power) / (1 + _PQ_C3 * power)) ** _PQ_M2
    return coded


def hlg_to_scene(coded: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inverse OETF of HLG (ITU-R BT.2100 table 5): coded 0 to 1 to scene light 0 to 1."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(coded <= 0.5, coded**2 / 3, (np.exp((coded - c) / a) + b) / 12)


def compressed(nits: NDArray[np.float64]) -> NDArray[np.float64]:
    """The EETF of ITU-R BT.2390-10 §5.4.1 from 0..1,000 to 0..203 cd/m²."""
    peak, white = nits_to_pq(np.array([PEAK_NITS, WHITE_NITS]))
    coded, most = nits_to_pq(nits) / peak, white / peak
    knee = 1.5 * most - 0.5
    t = np.clip((coded - knee) / (1 - knee), 0, 1)
    spline = (
        (2 * t**3 - 3 * t**2 + 1) * knee
        + (t**3 - 2 * t**2 + t) * (1 - knee)
        + (-2 * t**3 + 3 * t**2) * most
    )
    return pq_to_nits(np.where(coded < knee, coded, spline) * peak)
