"""Folders of labelled pictures made into a lesson: what is learnt, what is measured on.

What is odd about them is said on stderr before the training begins.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from app.cli.common import progress
from app.core.picture import LabelledPicture

if TYPE_CHECKING:
    from app.learning.datasets import Survey
    from app.learning.evaluation import Evaluation
    from app.learning.lessons import Material
    from app.learning.recipes import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What a run learns from and what it is measured on: pictures, recordings, or their features.

    Attributes:
        learn: to learn from; may be empty.
        measure: held out; may be empty.
    """

    learn: Material = ()
    measure: Material = ()

    def validation_of(self, recipe: Recipe) -> Evaluation | None:
        """What measures the network while it learns; None where nothing does."""
        from app.learning.lessons import evaluation_of

        return evaluation_of(recipe, self.measure)


def needs_pictures(recipe: Recipe) -> bool:
    """Whether a recipe leaves the phantom out, so that there is nothing to learn from without."""
    return float(recipe.data.get("phantom_share", 1.0)) == 0.0


def read_lesson(
    recipe: Recipe, data: Path, validation: Path | None, hold_out: float, *, quiet: bool
) -> Lesson:
    """Read and check the pictures of a run.

    Args:
        recipe: ``data.names`` maps labels of the data set to the recipe's classes.
        data: folder to learn from; its test split takes no part.
        validation: folder to be measured on in place of the data set's own validation split.
        hold_out: share to hold out by operation where there is neither.
        quiet: no progress bar.

    Raises:
        BadInput: a folder has no known layout, a picture or mask cannot be used, or nothing in
            it is of the recipe's classes.
    """
    from app.exchange.dataset import TEST, TRAIN, VALIDATION, open_dataset
    from app.learning.collate import class_of
    from app.learning.datasets import Renamed, leaks, split_by_group, survey, warnings_of

    dataset = open_dataset(data)
    learn, measure = dataset.split(TRAIN, ""), dataset.split(VALIDATION)
    if validation is not None:
        other = open_dataset(validation)
        measure = other.split(VALIDATION, "", TEST) if len(other.splits) > 1 else other.pictures
    elif not len(measure) and hold_out:
        learn, measure = split_by_group(learn, hold_out, int(recipe.data.get("seed", 0)))
    names = {str(k): str(v) for k, v in recipe.data.get("names", {}).items()}
    lesson = Lesson(learn=Renamed(learn, names), measure=Renamed(measure, names))

    def read(pictures: Sequence[LabelledPicture], words: str) -> Survey:
        with progress(words, quiet=quiet) as bar:
            bar.update(bar.task_ids[0], total=len(pictures))
            return survey(pictures, lambda n: bar.update(bar.task_ids[0], completed=n))

    learnt = read(lesson.learn, "Reading the pictures")
    said = warnings_of(
        learnt, recipe.classes, lambda label: class_of(label, recipe.classes) is not None
    )
    if len(lesson.measure):
        said += leaks(learnt, read(lesson.measure, "Reading the held-out pictures"))
    for sentence in said:
        sys.stderr.write(f"Note: {sentence}\n")
    return lesson
