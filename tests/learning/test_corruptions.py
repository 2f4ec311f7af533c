"""Pictures made worse: the same each time, worse with severity, measured by their numbers."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from app.core.errors import BadInput
from app.learning.corruptions import CORRUPTIONS, SEVERITIES, corrupt

# Severities of these are a list of different changes, not a ladder (as published).
NO_LADDER = {"gamma", "saturate", "fog", "frost", "glass_blur", "spatter", "pixelate"}


def picture() -> np.ndarray:
    """Patches of 8 px with soft borders, uint8 (224, 288, 3)."""
    small = np.random.default_rng(3).integers(20, 220, (28, 36, 3)).astype(np.uint8)
    return cv2.resize(small, (288, 224), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_each_is_repeatable_and_worse_with_severity(name: str) -> None:
    rgb = picture()
    before = rgb.copy()
    away = []
    for severity in SEVERITIES:
        worse = corrupt(name, severity, rgb, 7)
        assert (worse.shape, worse.dtype) == (rgb.shape, np.uint8)
        assert (worse == corrupt(name, severity, rgb, 7)).all()
        away.append(float(np.abs(worse.astype(int) - rgb).mean()))
    assert (rgb == before).all()
    assert min(away) > 0
    if name not in NO_LADDER:
        assert away == sorted(away)


def test_there_are_twenty_and_another_is_refused() -> None:
    assert len(CORRUPTIONS) == 20
    with pytest.raises(BadInput, match=r"no corruption haze; there are gaussian_noise.*gamma"):
        corrupt("haze", 1, picture(), 0)
    with pytest.raises(BadInput, match="1 to 5, not 6"):
        corrupt("fog", 6, picture(), 0)


def test_published_numbers() -> None:
    grey = np.full((300, 300, 3), 128, np.uint8)
    noisy = corrupt("gaussian_noise", 2, grey, 0).astype(float) / 255
    assert noisy.std() == pytest.approx(0.12, rel=0.02)
    salt = corrupt("impulse_noise", 5, grey, 0)
    assert np.mean((salt == 0) | (salt == 255)) == pytest.approx(0.27, rel=0.05)
    shots = corrupt("shot_noise", 3, grey, 0).astype(float) / 255
    assert shots.var() == pytest.approx((128 / 255) / 12, rel=0.05)
    rgb = np.zeros((32, 32, 3), np.uint8)
    rgb[:, 16:] = 200
    contrast = corrupt("contrast", 3, rgb, 0)
    assert (contrast[0, 0, 0], contrast[0, 31, 0]) == (80, 120)
    assert (corrupt("brightness", 1, rgb, 0)[0, 0] == 26).all()
    assert corrupt("gamma", 5, grey, 0)[0, 0, 0] == round((128 / 255) ** 0.6 * 255)


def test_lengths_grow_with_the_picture() -> None:
    """A blur of twice the picture is twice as wide: halved, both look the same."""
    small, large = picture(), cv2.resize(picture(), (576, 448), interpolation=cv2.INTER_CUBIC)
    for name in ("gaussian_blur", "defocus_blur"):
        a = corrupt(name, 4, small, 0).astype(int)
        b = cv2.resize(corrupt(name, 4, large, 0), (288, 224), interpolation=cv2.INTER_AREA)
        assert np.abs(a - b).mean() < 2.5


def test_the_seed_decides_what_is_random() -> None:
    rgb = picture()
    assert (corrupt("snow", 2, rgb, 1) != corrupt("snow", 2, rgb, 2)).any()
    assert (corrupt("jpeg", 2, rgb, 1) == corrupt("jpeg", 2, rgb, 2)).all()
