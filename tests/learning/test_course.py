"""The course that phase models of the phantom carry on their cards."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.core.course import Course, decode
from app.core.errors import BadInput
from app.inference.phases import course_of
from app.learning.course import EXCERPTS, UNSEEN, labelled_course, phantom_course
from app.learning.phantom.script import write_procedure
from app.learning.recipes import read_recipe
from models.card import find_card, read_card, write_card


def test_the_shipped_card_holds_the_course_that_its_recipe_makes() -> None:
    made = phantom_course(read_recipe("endomamba-demo"))
    assert course_of(find_card("endomamba-demo")) == made


def test_the_course_knows_the_order_of_an_operation() -> None:
    course = course_of(find_card("endomamba-demo"))
    assert course is not None
    recipe = read_recipe("endomamba-demo")
    procedure = write_procedure(950_007)
    keys = [recipe.classes.index(procedure.phase_at(s)) for s in range(procedure.seconds)]
    rng = np.random.default_rng(3)
    # Right in half of the seconds, and sure of itself in all of them.
    said = np.where(rng.random(len(keys)) < 0.5, keys, rng.integers(7, size=len(keys)))
    answers = np.full((len(keys), 7), 0.05)
    answers[np.arange(len(keys)), said] = 0.7
    answers *= course.seen  # as a network leans to what it saw most
    answers /= answers.sum(axis=1, keepdims=True)
    found = decode(course, answers)
    assert np.mean(said == keys) < 0.65
    assert np.mean(found.whole == keys) > 0.93
    assert np.mean(found.so_far == keys) > np.mean(said == keys) + 0.1


def test_what_nobody_labelled_is_no_change_and_no_beginning() -> None:
    recipe = replace(
        read_recipe("endomamba-demo"), classes=("a", "b", "c"), card={"course_weight": 0.2}
    )
    gap, late = [-1] * 600, [-1] * 5 + [1] * 40
    labels = [np.array([0] * 50 + gap + [2] * 50), np.array(late)]
    course = labelled_course(recipe, labels, np.full(140, 0.01))
    counts = np.diag([49.0, 39.0, 49.0]) + UNSEEN
    expected = counts / counts.sum(1, keepdims=True)
    assert np.array(course.change) == pytest.approx(expected, abs=1e-6)
    samples, began = np.array([50, 40, 50]) / 140, np.array([1, 0, 0]) + UNSEEN
    mixed = EXCERPTS * samples + (1 - EXCERPTS) * began / began.sum()
    assert course.start == pytest.approx(mixed.tolist(), abs=1e-6)
    # Where every recording was begun before its labels, they say best how one begins.
    alone = labelled_course(recipe, labels[1:], np.full(40, 0.01))
    assert np.argmax(alone.start) == 1


def test_a_change_that_was_labelled_counts_beside_a_gap() -> None:
    recipe = replace(
        read_recipe("endomamba-demo"), classes=("a", "b", "c"), card={"course_weight": 0.2}
    )
    labels = np.array([0] * 50 + [1] * 20 + [-1] * 9 + [1] * 20 + [2] * 50)
    course = labelled_course(recipe, [labels], np.full(140, 0.01))
    rows = np.array(course.change)
    assert rows[0, 1] == pytest.approx((1 + UNSEEN) / (50 + 3 * UNSEEN), abs=1e-6)
    assert rows[1, 2] == pytest.approx((1 + UNSEEN) / (39 + 3 * UNSEEN), abs=1e-6)
    assert rows[0, 2] < 0.002


def test_a_card_with_a_broken_course_is_refused_in_words(tmp_path: Path) -> None:
    card = find_card("endomamba-demo")
    broken = replace(card, course={**card.course, "weight": 3.0}, folder=None)
    write_card(broken, tmp_path)
    with pytest.raises(BadInput, match="course of phases on the card of endomamba-demo"):
        course_of(read_card(tmp_path))
    half = {"start": [1.0], "change": [[1.0]], "seen": [1.0], "weight": 0.1}
    with pytest.raises(BadInput, match="import it again"):
        course_of(replace(card, course=half))


def test_a_card_without_a_course_has_none() -> None:
    assert course_of(find_card("lmsf-a-demo")) is None


def test_the_course_survives_its_text() -> None:
    made = course_of(find_card("endomamba-demo"))
    assert made is not None
    assert Course.from_text(made.as_text()) == made
