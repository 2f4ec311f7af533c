"""Model cards: what a trained model is, what it was made from and for, and where it fails.

A model is a folder with `card.toml` and `weights.safetensors`. Reading cards needs no torch,
so the window lists models before it has loaded it.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from models.errors import CardError
from models.toml_text import to_toml

CARD_FILE = "card.toml"
WEIGHTS_FILE = "weights.safetensors"
BUNDLED_MODELS = Path(__file__).resolve().parents[1] / "resources" / "models"

BACKBONE = "backbone"
"""The task of weights that others start from; such a model answers nothing by itself."""

TASKS = (
    "instance-segmentation",
    "semantic-segmentation",
    "activity-and-segmentation",
    "phase-recognition",
    "phase-anticipation",
    "tool-presence",
    "enhancement",
    "prompted-segmentation",
    "retrieval",
    BACKBONE,
)
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelClass:
    """One class a model tells apart: a stable key and the words shown."""

    key: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How the weights came about.

    Attributes:
        command: that repeats it.
        seconds: it took.
        device: in words.
        data: what the weights were trained on.
    """

    command: str = ""
    seconds: float = 0.0
    device: str = ""
    data: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """Everything a program or a person must know of a model before using it.

    Attributes:
        name: stable, unique among installed models; also the folder's name.
        title: as people read it.
        system: the network, a name of `models.list_models()`.
        options: the network's options.
        task: one of `TASKS`.
        classes: in output order; of a model of areas the background comes first.
        activities: that a model of activities and areas tells apart, in output order.
        tools: whose presence a phase model tells besides, in output order.
        procedures: what the model was made for; empty means any.
        picture: the kind of picture it was made for, in words.
        licence: of the weights.
        demo: trained on synthetic pictures, to be marked as such.
        causal: needs no later frames.
        features_of: name of the model whose frame features it reads; empty for one that looks at
            pictures itself.
        input_size_px: width and height the network sees; frames are fitted into it.
        mean_rgb: subtracted from RGB in [0, 1].
        std_rgb: divided by after the mean is subtracted.
        frames_per_second: rate at which a temporal model samples video; 0 for every frame.
        thresholds: such as "score" and "overlap".
        course: of a phase model: how the operations it was made for go on from one sample to the
            next (`start`, `change`, `seen` and `weight`, see `app.core.course`); may be empty.
        parameters: of the network as built.
        trained: how.
        figures: measured, by metric and data set, as shares or in the key's unit.
        limits: where it fails, in words.
        parent: the model this one was fine-tuned from; empty for none.
        created: ISO date.
        weights_sha256: of the weight file; empty for a card without weights.
        folder: where the card was read; None for one not on disk.
    """

    name: str
    title: str
    system: str
    task: str
    classes: tuple[ModelClass, ...]
    activities: tuple[ModelClass, ...] = ()
    tools: tuple[ModelClass, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    procedures: tuple[str, ...] = ()
    picture: str = ""
    licence: str = ""
    demo: bool = False
    causal: bool = True
    features_of: str = ""
    input_size_px: tuple[int, int] = (640, 640)
    mean_rgb: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std_rgb: tuple[float, float, float] = (1.0, 1.0, 1.0)
    frames_per_second: float = 0.0
    thresholds: dict[str, float] = field(default_factory=dict)
    course: dict[str, Any] = field(default_factory=dict)
    parameters: int = 0
    trained: Training = field(default_factory=Training)
    figures: dict[str, float] = field(default_factory=dict)
    limits: str = ""
    parent: str = ""
    created: str = ""
    weights_sha256: str = ""
    folder: Path | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise CardError(
                f'A model cannot be called "{self.name}"; use small letters, digits, ". _ -".'
            )
        if self.task not in TASKS:
            raise CardError(f'{self.name}: the task "{self.task}" is unknown to this version.')
        for what in (self.classes, self.activities, self.tools):
            if len({c.key for c in what}) != len(what):
                raise CardError(f"{self.name}: two classes have the same key.")
        if self.weights_sha256 and not _SHA256.fullmatch(self.weights_sha256):
            raise CardError(f"{self.name}: weights_sha256 is not a SHA-256 in small hexadecimal.")
        if len(self.input_size_px) != 2 or min(self.input_size_px) < 1:
            raise CardError(f"{self.name}: input_size_px must be a width and a height.")
        if len(self.mean_rgb) != 3 or len(self.std_rgb) != 3 or min(self.std_rgb) <= 0:
            raise CardError(
                f"{self.name}: mean_rgb and std_rgb must be three numbers, std above 0."
            )

    @property
    def class_keys(self) -> tuple[str, ...]:
        """Keys of the classes in output order."""
        return tuple(c.key for c in self.classes)

    @property
    def activity_keys(self) -> tuple[str, ...]:
        """Keys of the activities in output order."""
        return tuple(a.key for a in self.activities)

    @property
    def tool_keys(self) -> tuple[str, ...]:
        """Keys of the tools in output order."""
        return tuple(t.key for t in self.tools)

    @property
    def weights_path(self) -> Path | None:
        """The weight file, or None where the card names none or it is not there."""
        if self.folder is None or not self.weights_sha256:
            return None
        path = self.folder / WEIGHTS_FILE
        return path if path.is_file() else None

    @property
    def why_not_live(self) -> str:
        """Why it cannot look at a live picture, as a sentence; empty where it can."""
        if not self.causal:
            return (
                f"{self.title} looks ahead: it labels recordings, and cannot say what goes on now."
            )
        if self.features_of:
            return (
                f"{self.title} reads what {self.features_of} stored of a recording, and does not "
                "look at a live picture."
            )
        return ""

    def suits(self, procedure: str) -> bool:
        """Whether the model was made for this procedure."""
        return not self.procedures or procedure in self.procedures

    def as_json(self) -> dict[str, Any]:
        """What `trocar models list --json` prints of it."""
        return {
            "name": self.name,
            "task": self.task,
            "classes": list(self.class_keys),
            "activities": list(self.activity_keys),
            "tools": list(self.tool_keys),
            "procedures": list(self.procedures),
            "parameters": self.parameters,
            "weights": None if self.weights_path is None else str(self.weights_path),
            "licence": self.licence,
            "causal": self.causal,
            "features_of": self.features_of,
            "demo": self.demo,
            "title": self.title,
            "system": self.system,
        }


def read_card(path: Path) -> ModelCard:
    """Reads a card.

    Args:
        path: the card, or the folder it lies in.

    Raises:
        CardError: it is missing, not TOML, or lacks or mistypes a field.
    """
    path = path / CARD_FILE if path.is_dir() else path
    what = f"{path.parent.name}/{path.name}"
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CardError(f"There is no model card {what}; import the model again.") from error
    except (OSError, ValueError) as error:
        raise CardError(f"The model card {what} cannot be read: {error}.") from error
    return _card(values, path.parent, what)


def write_card(card: ModelCard, folder: Path) -> Path:
    """Writes `card.toml` into a folder, whole or not at all, and returns its path."""
    values: dict[str, Any] = {}
    for item in fields(card):
        value = getattr(card, item.name)
        if item.name == "folder":
            continue
        if item.name in _CLASSES:
            value = [{"key": c.key, "name": c.name} for c in value]
        elif item.name == "trained":
            value = {f.name: getattr(value, f.name) for f in fields(value)}
        values[item.name] = value
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / f"{CARD_FILE}.part"
    beside.write_text(to_toml(values), encoding="utf-8", newline="\n")
    return beside.replace(folder / CARD_FILE)


def list_cards(*folders: Path, damaged: list[CardError] | None = None) -> tuple[ModelCard, ...]:
    """Cards of the models that ship with the program and of those in other folders.

    Args:
        *folders: folders of model folders, such as a library's `models`.
        damaged: gets what is wrong with cards that cannot be read, which are then left out,
            so that one bad folder does not hide the other models; None to raise instead.

    Returns:
        Cards sorted by name; where two share a name, the one of the later folder.

    Raises:
        CardError: a card is damaged, and `damaged` is None.
    """
    found: dict[str, ModelCard] = {}
    for root in (BUNDLED_MODELS, *folders):
        for path in sorted(root.glob(f"*/{CARD_FILE}")):
            try:
                card = read_card(path)
            except CardError as error:
                if damaged is None:
                    raise
                damaged.append(error)
            else:
                found[card.name] = card
    return tuple(found[name] for name in sorted(found))


def find_card(name_or_path: str | Path, *folders: Path) -> ModelCard:
    """A card by the model's name, by its folder, or by its file.

    Raises:
        CardError: there is none.
    """
    path = Path(name_or_path)
    if path.is_dir() or path.suffix == ".toml":
        return read_card(path)
    damaged: list[CardError] = []
    cards = {card.name: card for card in list_cards(*folders, damaged=damaged)}
    if str(name_or_path) not in cards:
        for root in (BUNDLED_MODELS, *folders):
            if (root / path.name / CARD_FILE).is_file():
                return read_card(root / path.name)
        known = ", ".join(cards) or "none"
        raise CardError(f'There is no model "{name_or_path}"; installed are: {known}.')
    return cards[str(name_or_path)]


def _card(values: dict[str, Any], folder: Path, what: str) -> ModelCard:
    kinds = {f.name: f for f in fields(ModelCard) if f.name != "folder"}
    if unknown := sorted(values.keys() - kinds.keys()):
        raise CardError(f'The model card {what} has the field "{unknown[0]}", unknown here.')
    for name in ("name", "title", "system", "task", "classes"):
        if name not in values:
            raise CardError(f'The model card {what} lacks the field "{name}".')
    try:
        return ModelCard(**{k: _typed(k, v) for k, v in values.items()}, folder=folder)
    except TypeError as error:
        raise CardError(f"The model card {what} is not right: {error}.") from error


_TEXTS = {"name", "title", "system", "task", "picture", "licence", "limits", "parent", "created",
          "features_of", "weights_sha256"}  # fmt: skip
_CLASSES = ("classes", "activities", "tools")
_NUMBERS = {"frames_per_second", "parameters"}
_LISTS: dict[str, tuple[type, ...]] = {
    "procedures": (str,),
    "input_size_px": (int,),
    "mean_rgb": (int, float),
    "std_rgb": (int, float),
}


def _typed(name: str, value: Any) -> Any:
    """The field's value as the card holds it; TypeError in words for another type."""
    if name in _TEXTS:
        return _want(name, value, str)
    if name in ("demo", "causal"):
        return _want(name, value, bool)
    if name in _NUMBERS:
        return _want(name, value, int, float)
    if name in _LISTS:
        return tuple(_want(name, item, *_LISTS[name]) for item in _want(name, value, list))
    if name in _CLASSES:
        return tuple(ModelClass(**_want(name, item, dict)) for item in _want(name, value, list))
    table = _want(name, value, dict)
    if name == "trained":
        return Training(**table)
    if name not in ("options", "course"):
        for key, number in table.items():
            _want(f"{name}.{key}", number, int, float)
    return dict(table)


def _want(name: str, value: Any, *kinds: type) -> Any:
    right = isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))
    if not right:
        raise TypeError(f"{name} must be {' or '.join(k.__name__ for k in kinds)}, is {value!r}")
    return value
