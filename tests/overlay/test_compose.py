"""What the overlay's pixels are."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.mask import Mask
from app.overlay import Dial, Look, OverlayStyle, ShownInstance, area_looks, compose, looks_of
from tests.overlay.conftest import CYAN, LIME, block

SIZE = (160, 120)


def opaque(bgra: np.ndarray, rgb: tuple[int, int, int]) -> np.ndarray:
    """Where a pixel is this colour, fully opaque."""
    return (bgra == (*reversed(rgb), 255)).all(axis=2)


def test_an_outline_is_two_pixels_with_a_dark_pixel_on_each_side(style: OverlayStyle) -> None:
    overlay = compose([block(40, 30, 120, 90)], SIZE, style)
    across = overlay[60, 34:46]
    # Line on the pixels just outside and inside the edge at 40, halo on the ones beyond.
    assert opaque(across[None], LIME)[0].tolist() == [False] * 5 + [True] * 2 + [False] * 5
    halo = np.flatnonzero((across[:, 3] > 100) & (across[:, 3] < 255))
    assert halo.tolist() == [4, 7]
    assert (across[halo, :3] == 0).all()
    assert (across[[0, 1, 2, 3, 8, 9, 10, 11]] == 0).all()


def test_the_dial_adds_step_by_step(style: OverlayStyle) -> None:
    instance = block(40, 40, 120, 90, score=0.973)
    steps = [compose([instance], SIZE, replace(style, dial=d)) for d in Dial]
    assert not steps[Dial.NOTHING].any()
    assert steps[Dial.OUTLINE][65, 80, 3] == 0
    assert steps[Dial.FILL][65, 80, 3] == round(255 * style.fill)
    for less, more in pairwise(steps):
        assert (more[..., 3] > 0).sum() > (less[..., 3] > 0).sum()


def test_fill_is_premultiplied(style: OverlayStyle) -> None:
    overlay = compose([block(40, 30, 120, 90)], SIZE, replace(style, dial=Dial.FILL, fill=0.2))
    assert overlay[60, 80].tolist() == [0, 51, 25, 51]


@given(st.lists(st.tuples(*[st.integers(0, 50)] * 4), max_size=6), st.sampled_from(list(Dial)))
def test_no_colour_exceeds_its_alpha(boxes: list[tuple[int, ...]], dial: Dial) -> None:
    style = OverlayStyle(
        outlines=(LIME, CYAN), halo=(9, 9, 9), text=(240, 240, 240), plate=(1, 1, 1), dial=dial
    )
    instances = [
        block(x, y, x + 1 + w, y + 1 + h, SIZE, track=i, score=0.5)
        for i, (x, y, w, h) in enumerate(boxes)
    ]
    overlay = compose(instances, SIZE, style)
    assert (overlay[..., :3] <= overlay[..., 3:]).all()


def test_the_track_gives_the_colour_whatever_its_place(style: OverlayStyle) -> None:
    first, second = block(10, 10, 40, 40, track=1), block(60, 50, 100, 90, track=2)
    both = looks_of([second, first], style)
    assert both == (Look(colour=CYAN), Look(colour=LIME))
    assert looks_of([second], style) == both[:1]
    assert opaque(compose([second], SIZE, style), CYAN).any()


def test_of_two_on_one_colour_the_earlier_track_keeps_it(style: OverlayStyle) -> None:
    alone = looks_of([block(60, 50, 100, 90, track=3)], style)
    assert alone == (Look(colour=LIME),)
    pair = [block(60, 50, 100, 90, track=3), block(10, 10, 40, 40, track=1)]
    assert looks_of(pair, style) == (Look(colour=CYAN), Look(colour=LIME))


def test_a_line_is_broken_only_where_every_colour_is_in_use(style: OverlayStyle) -> None:
    blocks = [block(2, 2, 22, 22, track=1), block(30, 2, 50, 22, track=2)]
    third = block(60, 50, 140, 110)
    looks = looks_of([third, *blocks], style)
    assert looks == (Look(colour=LIME, dashed=True), Look(colour=LIME), Look(colour=CYAN))
    solid = opaque(compose([third], SIZE, style), LIME)[40:].sum()
    dashed = opaque(compose([third, *blocks], SIZE, style), LIME)[40:].sum()
    assert 0.3 * solid < dashed < 0.7 * solid


def test_what_has_no_pixels_takes_no_colour(style: OverlayStyle) -> None:
    empty = ShownInstance(label="hook", mask=Mask.empty(*SIZE))
    assert looks_of([empty, block(10, 10, 40, 40)], style)[1] == Look(colour=LIME)


@given(st.lists(st.none() | st.integers(1, 40), max_size=9, unique_by=lambda t: t or object()))
def test_no_two_outlines_of_a_frame_look_alike_while_there_are_looks(
    tracks: list[int | None],
) -> None:
    colours = tuple((i, i, i) for i in range(5))
    style = OverlayStyle(outlines=colours, halo=(0, 0, 0), text=(9, 9, 9), plate=(1, 1, 1))
    looks = looks_of([block(10, 10, 40, 40, track=t) for t in tracks], style)
    assert len(set(looks)) == len(tracks)
    assert sum(look.dashed for look in looks) == max(0, len(tracks) - 5)


def test_one_outline_keeps_its_look_where_others_are_left_out(style: OverlayStyle) -> None:
    second = block(60, 50, 100, 90, track=3)
    overlay = compose([second], SIZE, style, [Look(colour=CYAN)])
    assert opaque(overlay, CYAN).any()
    assert not opaque(overlay, LIME).any()


def test_no_line_is_drawn_where_an_instrument_leaves_the_picture(style: OverlayStyle) -> None:
    overlay = compose([block(0, 30, 60, 90)], SIZE, style)
    assert not overlay[45:75, :10].any()
    assert opaque(overlay, LIME)[60].sum() == 2


def test_only_the_surroundings_of_instances_are_touched(style: OverlayStyle) -> None:
    overlay = compose([block(60, 50, 100, 70)], SIZE, style)
    rows, columns = np.nonzero(overlay[..., 3])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (48, 71, 58, 101)


def test_a_smaller_overlay_shows_the_same_place(style: OverlayStyle) -> None:
    overlay = compose([block(400, 300, 1200, 900, (1600, 1200))], (320, 240), style)
    line = opaque(overlay, LIME)
    assert np.flatnonzero(line[120]).tolist() == [79, 80, 239, 240]
    assert np.flatnonzero(line[:, 160]).tolist() == [59, 60, 179, 180]


def test_the_first_instance_lies_on_top(style: OverlayStyle) -> None:
    pair = [block(40, 30, 120, 90, track=1), block(40, 30, 120, 90, track=2)]
    overlay = compose(pair, SIZE, style)
    assert opaque(overlay, LIME).any()
    assert not opaque(overlay, CYAN).any()


def test_a_mask_without_pixels_draws_nothing(style: OverlayStyle) -> None:
    empty = ShownInstance(label="hook", mask=Mask.empty(*SIZE))
    assert not compose([empty], SIZE, replace(style, dial=Dial.CONFIDENCE)).any()


def test_labels_do_not_hide_one_another(style: OverlayStyle) -> None:
    full = replace(style, dial=Dial.CONFIDENCE, outline_px=1, halo_px=0, fill=0)
    one = compose([block(40, 60, 42, 62, (400, 300), score=0.9)], (400, 300), full)
    two = compose([block(40, 60, 42, 62, (400, 300), score=0.9)] * 2, (400, 300), full)
    plate = one[..., 3] > 100
    assert (two[..., 3] > 100).sum() > 1.9 * plate.sum() - 20


def test_a_plate_lies_over_the_top_of_a_slanted_instrument(style: OverlayStyle) -> None:
    full = replace(style, dial=Dial.LABELS, outline_px=1, halo_px=0, fill=0)
    size = (400, 300)
    plane = np.zeros((300, 400), bool)
    for step in range(160):
        plane[250 - step, 60 + 2 * step : 68 + 2 * step] = True
    slanted = ShownInstance(label="hook", mask=Mask.from_full(plane))
    overlay = compose([slanted], size, full)
    plate = (overlay[..., 3] > 100) & ~np.asarray(plane)
    columns = np.flatnonzero(plate[:88].any(axis=0))
    top = np.flatnonzero(plane[91]).mean()
    assert columns.min() < top < columns.max()


def test_a_plate_at_the_border_stays_in_the_picture(style: OverlayStyle) -> None:
    full = replace(style, dial=Dial.CONFIDENCE)
    overlay = compose([block(150, 110, 160, 120, score=1.0)], SIZE, full)
    assert overlay.shape == (120, 160, 4)
    assert (overlay[..., :3] > 200).all(axis=2).any(), "the text is not there"


@pytest.mark.parametrize("field", [{"fill": 0.5}, {"outlines": ()}, {"outline_px": 0}])
def test_an_impossible_style_is_refused(style: OverlayStyle, field: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="OverlayStyle"):
        replace(style, **field)  # type: ignore[arg-type]


def test_areas_have_their_classes_colours_and_broken_lines(style: OverlayStyle) -> None:
    areas = [block(10, 10, 60, 60, track=n) for n in (1, 2, 1 + len(style.outlines))]
    first, second, again = area_looks(areas, style)
    assert first == again
    assert first.dashed
    assert second.dashed
    # From the other end of the row of colours than the first instruments.
    assert first.colour == style.outlines[-1]
    assert (second.colour == first.colour) == (len(style.outlines) == 1)
    assert area_looks(areas[:2][::-1], style) == (second, first)
