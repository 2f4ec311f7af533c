"""High dynamic range and wide colour: the standards' curves, and what becomes of pictures."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from app.video import open_video
from app.video.tone import (
    PEAK_NITS,
    WHITE_NITS,
    ToneMapper,
    Transfer,
    compressed,
    hlg_to_scene,
    nits_to_pq,
    pq_to_nits,
)

BT2020, BT2020_MATRIX, PQ, HLG = 9, 9, 16, 18


def grey(transfer: Transfer, coded: float) -> int:
    """What a grey of this code (0 to 1) becomes, 0 to 255."""
    picture = np.full((2, 2, 3), round(coded * 65535), np.uint16)
    shown = ToneMapper(transfer).bt709(picture)
    assert np.ptp(shown) <= 1
    return int(shown[0, 0, 0])


def test_pq_is_that_of_st_2084() -> None:
    # BT.2408 table: 58 % of PQ is 203 cd/m2, 75 % is 1,000 cd/m2 (983).
    assert pq_to_nits(np.array([0.0, 0.58, 1.0])) == pytest.approx([0, 201.67, 10_000], abs=0.01)
    nits = np.array([0.01, 1.0, 100.0, 203.0, 1000.0, 10_000.0])
    assert pq_to_nits(nits_to_pq(nits)) == pytest.approx(nits, rel=1e-9)


def test_hlg_is_that_of_bt_2100() -> None:
    assert hlg_to_scene(np.array([0.0, 0.5, 0.75, 1.0])) == pytest.approx(
        [0, 1 / 12, 0.26496, 1], abs=1e-4
    )


def test_the_curve_keeps_the_dark_and_ends_at_white() -> None:
    nits = np.linspace(0, PEAK_NITS, 4000)
    shown = compressed(nits)
    assert (np.diff(shown) >= 0).all()
    assert shown[-1] == pytest.approx(WHITE_NITS)
    dark = nits < 85
    assert shown[dark] == pytest.approx(nits[dark], rel=1e-6, abs=1e-9)
    # Highlights stay apart from one another.
    assert shown[nits > 400].max() - shown[nits > 400].min() > 5


def test_greys_stay_grey_and_rise() -> None:
    for transfer in Transfer:
        levels = [grey(transfer, coded) for coded in np.linspace(0, 0.75, 16)]
        assert levels == sorted(levels)
        assert levels[0] == 0
    # Diffuse white of both systems (58 % of PQ, 75 % of HLG) becomes nearly white.
    assert grey(Transfer.PQ, 0.58) == pytest.approx(grey(Transfer.HLG, 0.75), abs=2)
    assert 220 < grey(Transfer.PQ, 0.58) < 245
    assert grey(Transfer.SDR, 0.5) == pytest.approx(127, abs=1)


@pytest.mark.parametrize(("transfer", "coded"), [(PQ, 0.45), (HLG, 0.5), (1, 0.5)])
def test_a_stream_that_says_so_is_mapped(tmp_path: Path, transfer: int, coded: float) -> None:
    """Code to file to code: a wide-colour grey of each kind, 10 bit, limited range."""
    path = tmp_path / "wide.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p10le"
        context = stream.codec_context
        context.color_primaries, context.color_trc = BT2020, transfer
        context.colorspace, context.color_range = BT2020_MATRIX, 1
        frame = av.VideoFrame(64, 64, "yuv420p10le")
        for plane, level in zip(frame.planes, (64 + round(coded * 876), 512, 512), strict=True):
            rows = np.full((plane.height, plane.line_size // 2), level, "<u2")
            plane.update(rows.tobytes())
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        container.mux([*stream.encode(frame), *stream.encode(None)])
    with open_video(path, trusted=True) as source:
        shown = source.frame(0).rgb[32, 32]
        said = " ".join(source.info.problems)
    kind = {PQ: Transfer.PQ, HLG: Transfer.HLG}.get(transfer, Transfer.SDR)
    assert shown.tolist() == pytest.approx([grey(kind, coded)] * 3, abs=2)
    assert ("wide colour" if kind is Transfer.SDR else f"({kind})") in said


def test_wide_colours_are_brought_into_bt_709() -> None:
    """A BT.709 red written with BT.2020's primaries comes back as that red."""
    to_2020 = np.array(
        [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]
    )
    red = np.array([200, 40, 60]) / 255
    coded = (to_2020 @ red**2.4) ** (1 / 2.4)
    picture = np.broadcast_to((coded * 65535).astype(np.uint16), (2, 2, 3))
    shown = ToneMapper(Transfer.SDR).bt709(np.ascontiguousarray(picture))
    assert shown[0, 0].tolist() == pytest.approx([200, 40, 60], abs=2)
