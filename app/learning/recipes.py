"""A recipe: which network, on what, how long. TOML data in ``resources/recipes``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.core.errors import BadInput
from app.core.resources import resources_dir
from models.card import ModelCard, ModelClass


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One training run as data.

    Attributes:
        name: of the model that comes out.
        title: as people read it.
        system: the registry's name, such as ``lmsf_a``.
        options: the network's options.
        task: the card's task.
        classes: class keys in output order.
        activities: keys of the activities in output order, where the network names them.
        tools: keys of the tools in output order whose presence the network tells besides phases.
        procedures: what the model is made for.
        input_size_px: (width, height) that the network learns at.
        batch: pictures, or streams, per step.
        train: fields of ``models.training.TrainConfig``.
        data: what the task's data reader takes.
        card: what the model card says: picture, trained_on, limits, thresholds, the input size in
            use where it is another than the one learnt at, and the model whose frame features the
            network reads (``features_of``), where it does not look at pictures.
    """

    name: str
    title: str
    system: str
    options: dict[str, Any]
    task: str
    classes: tuple[str, ...]
    procedures: tuple[str, ...]
    input_size_px: tuple[int, int]
    batch: int
    train: dict[str, Any]
    activities: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    data: dict[str, Any] = field(default_factory=dict)
    card: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # What its card refuses is refused before hours of training, not after them.
        ModelCard(
            name=self.name,
            title=self.title,
            system=self.system,
            task=self.task,
            classes=tuple(ModelClass(key=k, name=k) for k in self.classes),
            activities=tuple(ModelClass(key=k, name=k) for k in self.activities),
            tools=tuple(ModelClass(key=k, name=k) for k in self.tools),
            input_size_px=self.input_size_px,
        )
        if self.batch < 1:
            raise ValueError("batch must be at least 1")

    @property
    def reads_features(self) -> bool:
        """Whether its network reads frame features that an encoder stored, in place of pictures."""
        return "features_of" in self.card


def recipe_of(
    card: ModelCard,
    *,
    name: str = "",
    batch: int = 1,
    train: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
    said: Mapping[str, Any] | None = None,
) -> Recipe:
    """A model as a recipe: to measure it, or to go on teaching it under another name.

    Args:
        card: of the model.
        name: of what comes out; "" for the model itself.
        batch, train, data: the recipe's.
        said: what its ``card`` says besides what pictures the network takes.
    """
    pictures = {"picture": card.picture, "mean_rgb": card.mean_rgb, "std_rgb": card.std_rgb}
    return Recipe(
        name=name or card.name,
        title=name or card.title,
        system=card.system,
        options=dict(card.options),
        task=card.task,
        classes=card.class_keys,
        activities=card.activity_keys,
        tools=card.tool_keys,
        procedures=card.procedures,
        input_size_px=card.input_size_px,
        batch=batch,
        train=dict(train or {}),
        data=dict(data or {}),
        card={**pictures, **(said or {})},
    )


def recipes_dir() -> Path:
    """Where the recipes that ship with Trocar lie."""
    return resources_dir() / "recipes"


def list_recipes() -> tuple[str, ...]:
    """Names of the recipes that ship with Trocar."""
    return tuple(sorted(p.stem for p in recipes_dir().glob("*.toml")))


def read_recipe(name_or_path: str) -> Recipe:
    """Read a recipe by its name or from a file of the user's.

    Raises:
        BadInput: there is no such recipe, or the file is not one.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = recipes_dir() / f"{name_or_path}.toml"
    if not path.is_file():
        known = ", ".join(list_recipes())
        raise BadInput(f"There is no recipe {name_or_path}; there are {known}.")
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        for key in ("classes", "procedures", "input_size_px"):
            data[key] = tuple(data[key])
        for key in ("activities", "tools"):
            data[key] = tuple(data.get(key, ()))
        return Recipe(**data)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path.name} is not a recipe: {error}.", str(error)) from error
