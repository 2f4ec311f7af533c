"""The course that phase models of the phantom carry on their cards."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.core.course import Course, decode
from app.core.errors import BadInput
from app.inference.phases import course_of
from app.learning.course import phantom_course
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
