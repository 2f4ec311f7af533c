"""A taxonomy: the versioned phases and instruments of a procedure, read from TOML data."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from app.core import validate
from app.core.errors import BadInput
from app.core.resources import resources_dir

UNKNOWN_PROCEDURE = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One phase: stable key, the words shown, a code of one or two characters, its colour."""

    key: str
    name: str
    code: str
    colour: str

    def __post_init__(self) -> None:
        validate.not_empty("Phase.key", self.key)
        validate.in_range("length of Phase.code", len(self.code), 1, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentClass:
    """One class of instance: stable key and the word shown."""

    key: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Taxonomy:
    """Phases in their usual order and instance classes of one procedure."""

    procedure: str
    name: str
    version: str
    phases: tuple[Phase, ...]
    instruments: tuple[InstrumentClass, ...]

    def __post_init__(self) -> None:
        for what, values in (
            ("phase keys", [p.key for p in self.phases]),
            ("phase codes", [p.code for p in self.phases]),
            ("instrument keys", [i.key for i in self.instruments]),
        ):
            if len(set(values)) != len(values):
                raise ValueError(f"Taxonomy: expected unique {what}, got {values}")

    def phase(self, key: str) -> Phase | None:
        """The phase with this key."""
        return next((p for p in self.phases if p.key == key), None)

    def phase_name(self, key: str) -> str:
        """The words for a phase key; a key this taxonomy lacks stands for itself."""
        phase = self.phase(key)
        return phase.name if phase else key.replace("_", " ").capitalize()

    def instrument_name(self, key: str) -> str:
        """The word for an instance class; a key this taxonomy lacks stands for itself."""
        found = next((i.name for i in self.instruments if i.key == key), None)
        return found or key.replace("_", " ").capitalize()


def read_taxonomy(path: Path) -> Taxonomy:
    """Read one taxonomy file.

    Raises:
        BadInput: the file is not a taxonomy.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        return Taxonomy(
            procedure=data["procedure"],
            name=data["name"],
            version=str(data["version"]),
            phases=tuple(Phase(**p) for p in data.get("phases", ())),
            instruments=tuple(InstrumentClass(**i) for i in data.get("instruments", ())),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(
            f"The taxonomy file {path.name} cannot be read; check or remove it.", str(error)
        ) from error


@cache
def list_taxonomies() -> tuple[Taxonomy, ...]:
    """All taxonomies that ship with Trocar, by name; read once, since the GUI thread asks too."""
    files = sorted((resources_dir() / "taxonomies").glob("*.toml"))
    return tuple(sorted((read_taxonomy(f) for f in files), key=lambda t: t.name))


def find_taxonomy(procedure: str) -> Taxonomy:
    """The taxonomy of a procedure; the one without phases for an unknown procedure."""
    known = {t.procedure: t for t in list_taxonomies()}
    return known.get(procedure) or known[UNKNOWN_PROCEDURE]


def in_cholec80_order(keys: Sequence[str]) -> bool:
    """Whether these are the seven phases of Cholec80 in its order, and no others: its metrics with
    relaxed borders forgive neighbours by number."""
    return tuple(keys) == tuple(phase.key for phase in find_taxonomy("cholecystectomy").phases)


def taxonomy_naming(procedure: str, phases: Collection[str]) -> Taxonomy:
    """The taxonomy of a procedure; where nobody said which operation it is, the one that names most
    of these phases, if any: several have a phase of the same key."""
    if procedure != UNKNOWN_PROCEDURE:
        return find_taxonomy(procedure)
    best = max(list_taxonomies(), key=lambda t: sum(p.key in phases for p in t.phases))
    return best if any(p.key in phases for p in best.phases) else find_taxonomy(procedure)
