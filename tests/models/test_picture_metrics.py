"""PSNR and SSIM against values by hand and a slow second writing."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.metrics.pictures import psnr, ssim
from models.rga_net import training


def picture(seed: int, size: tuple[int, int] = (15, 18)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def test_psnr_by_hand() -> None:
    black = np.zeros((12, 12, 3), np.uint8)
    assert psnr(black, black) == inf
    assert psnr(black, black + 255) == 0
    one_off = black.copy()
    one_off[0, 0, 0] = 255  # 1 of 432 values: 10 log10(432)
    assert psnr(black, one_off) == pytest.approx(26.3548, abs=1e-4)


def test_ssim_of_flat_pictures_by_hand() -> None:
    a, b = np.full((11, 11, 3), 100, np.uint8), np.full((11, 11, 3), 150, np.uint8)
    c1 = (0.01 * 255) ** 2
    assert ssim(a, b) == pytest.approx((2 * 100 * 150 + c1) / (100**2 + 150**2 + c1))


def slow_ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Window by window, from the definition."""
    at = np.arange(11) - 5
    weight = np.exp(-(at[:, None] ** 2 + at[None, :] ** 2) / (2 * 1.5**2))
    weight /= weight.sum()
    values = []
    for channel in range(3):
        for y in range(a.shape[0] - 10):
            for x in range(a.shape[1] - 10):
                p, q = (m[y : y + 11, x : x + 11, channel].astype(float) for m in (a, b))
                mp, mq = (weight * p).sum(), (weight * q).sum()
                vp, vq = (weight * (p - mp) ** 2).sum(), (weight * (q - mq) ** 2).sum()
                shared = (weight * (p - mp) * (q - mq)).sum()
                c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
                values.append(
                    (2 * mp * mq + c1) * (2 * shared + c2)
                    / ((mp**2 + mq**2 + c1) * (vp + vq + c2))
                )  # fmt: skip
    return float(np.mean(values))


@given(seed=st.integers(0, 1000), share=st.floats(0, 1))
def test_ssim_is_the_definition_and_the_loss_is_the_metric(seed: int, share: float) -> None:
    a = picture(seed)
    b = (a * (1 - share) + picture(seed + 1) * share).astype(np.uint8)
    assert ssim(a, b) == pytest.approx(slow_ssim(a, b), abs=1e-9)
    tensors = (torch.from_numpy(m).double().permute(2, 0, 1)[None] / 255 for m in (a, b))
    assert float(training.ssim(*tensors).mean()) == pytest.approx(ssim(a, b), abs=1e-9)


def test_pictures_of_two_sizes_and_too_small_ones_are_refused() -> None:
    with pytest.raises(ValueError, match="pictures are"):
        psnr(picture(0), picture(0, (15, 19)))
    with pytest.raises(ValueError, match="11 x 11"):
        ssim(picture(0, (10, 20)), picture(1, (10, 20)))
