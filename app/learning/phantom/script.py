"""The course of an operation, second by second: phases, tools, trips out of the body.

Orders, lengths, tool sets and how long a tool stays follow the aggregates of 80 labelled
cholecystectomies (Twinanda et al. 2017, Cholec80). Pure functions of a seed.
"""

from dataclasses import dataclass

import numpy as np

PHASES = (
    "preparation",
    "calot_triangle_dissection",
    "clipping_cutting",
    "gallbladder_dissection",
    "gallbladder_packaging",
    "cleaning_coagulation",
    "gallbladder_retraction",
)
# Letters of the phases above; the last order is what the transition counts leave over.
ORDERS = {
    "0123456": 51,
    "0123546": 12,
    "123456": 8,
    "012346": 6,
    "0123465": 2,
    "123465": 1,
}
# Seconds of a phase: 10th percentile, median, 90th percentile.
LENGTHS_S = (
    (33, 97, 249),
    (381, 826, 1550),
    (65, 131, 329),
    (273, 584, 1326),
    (59, 81, 155),
    (57, 130, 456),
    (31, 64, 140),
)
# A slow case is slow in every phase: how much of a length's spread the case decides.
PACE_SHARE = 0.3
# Tool sets of each phase in percent of its seconds: G grasper, B bipolar, H hook, S scissors,
# C clipper, I irrigator, P specimen bag (pouch).
LETTERS = {
    "G": "grasper",
    "B": "bipolar",
    "H": "hook",
    "S": "scissors",
    "C": "clipper",
    "I": "irrigator",
    "P": "specimen_bag",
}
TOOL_SETS = (
    {"": 51, "G": 44.5, "S": 1.6, "GS": 1, "GH": 0.7, "GB": 0.6},
    {"GH": 52, "H": 24.7, "G": 11, "": 6.8, "GB": 2, "GI": 1.7, "B": 1, "I": 0.5, "GHI": 0.2},
    {
        "GC": 22,
        "C": 18,
        "G": 18,
        "": 13.4,
        "GS": 10,
        "S": 9,
        "H": 3,
        "GH": 3,
        "I": 1,
        "B": 0.8,
        "GI": 0.5,
        "GB": 0.5,
    },
    {
        "H": 43,
        "GH": 31,
        "G": 10.5,
        "": 8.4,
        "B": 1.4,
        "I": 1.4,
        "GI": 1.2,
        "HI": 0.8,
        "GB": 0.8,
        "BH": 0.3,
        "GC": 0.3,
        "GHI": 0.3,
    },
    {"GP": 70.5, "": 16, "P": 4.9, "G": 4.2, "GH": 1.2, "GBP": 0.9, "GS": 0.4, "B": 0.3, "IP": 0.3},
    {
        "": 15.9,
        "I": 12,
        "G": 12,
        "GB": 11,
        "GI": 10,
        "B": 7,
        "GP": 4.5,
        "P": 3,
        "IP": 4,
        "GIP": 4,
        "BP": 3,
        "GBP": 4,
        "BIP": 1.5,
        "BI": 3,
        "GBI": 2,
        "H": 0.7,
        "S": 0.7,
        "C": 0.3,
    },
    {
        "": 51,
        "GP": 17,
        "G": 15.5,
        "P": 9,
        "B": 3,
        "I": 2,
        "GI": 0.8,
        "GB": 0.5,
        "IP": 0.5,
        "GBP": 0.7,
        "S": 0.1,
    },
)
# Median seconds a tool set lasts, by the tool that works; a set ends when one tool comes or goes.
DWELL_S = {"H": 9.0, "C": 8.0, "S": 7.0, "B": 6.0, "I": 5.0, "P": 6.0, "G": 5.0, "": 4.0}
DWELL_SPREAD = 1.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Something that lasts from `start_s` up to, not including, `end_s`."""

    name: str
    start_s: int
    end_s: int

    def __post_init__(self) -> None:
        if not 0 <= self.start_s < self.end_s:
            raise ValueError(f"Span: expected 0 <= start < end, got {self.start_s}, {self.end_s}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Procedure:
    """One scripted operation; times in whole seconds from its start."""

    phases: tuple[Span, ...]
    tools: tuple[Span, ...]
    away: tuple[Span, ...]

    @property
    def seconds(self) -> int:
        return self.phases[-1].end_s

    def phase_at(self, second: float) -> str:
        """The phase key at this second; the last phase from its start on."""
        for span in self.phases:
            if second < span.end_s:
                return span.name
        return self.phases[-1].name

    def tools_at(self, second: float) -> set[str]:
        """Class keys of the tools the script wants in view."""
        return {t.name for t in self.tools if t.start_s <= second < t.end_s}


def write_phases(seed: int) -> tuple[Span, ...]:
    """The phases of ``write_procedure``, without the rest, which takes longer."""
    return _phases(np.random.default_rng([seed, 80]))


def write_procedure(seed: int, longest_phase_s: int | None = None) -> Procedure:
    """Script one operation; the same for the same seed.

    Args:
        seed: chooses it.
        longest_phase_s: phases are cut to this length, for an operation that is quick to draw.
    """
    rng = np.random.default_rng([seed, 80])
    phases = _phases(rng)
    if longest_phase_s is not None:
        phases = _cut(phases, longest_phase_s)
    away = _away(rng, phases)
    return Procedure(phases=phases, tools=_tools(rng, phases, away), away=away)


def _phases(rng: np.random.Generator) -> tuple[Span, ...]:
    counts = np.array(list(ORDERS.values()), float)
    order = str(rng.choice(list(ORDERS), p=counts / counts.sum()))
    pace = rng.standard_normal()
    spans, now = [], 0
    for letter in order:
        low, median, high = LENGTHS_S[int(letter)]
        z = np.sqrt(PACE_SHARE) * pace + np.sqrt(1 - PACE_SHARE) * rng.standard_normal()
        side = np.log(high / median) if z > 0 else np.log(median / low)
        length = median * np.exp(np.clip(z, -2.2, 2.2) * side / 1.2816)
        end = now + max(round(float(length)), 12)
        spans.append(Span(name=PHASES[int(letter)], start_s=now, end_s=end))
        now = end
    return tuple(spans)


def _cut(phases: tuple[Span, ...], longest_s: int) -> tuple[Span, ...]:
    spans, now = [], 0
    for span in phases:
        end = now + min(span.end_s - span.start_s, longest_s)
        spans.append(Span(name=span.name, start_s=now, end_s=end))
        now = end
    return tuple(spans)


def _away(rng: np.random.Generator, phases: tuple[Span, ...]) -> tuple[Span, ...]:
    """Times the scope is out of the body, mostly to be cleaned."""
    total = phases[-1].end_s
    spans: list[Span] = []
    now = int(rng.exponential(420)) + 20
    while now < total - 30:
        length = int(np.clip(rng.lognormal(np.log(11), 0.6), 4, 60))
        spans.append(Span(name="out_of_body", start_s=now, end_s=now + length))
        now += length + 60 + int(rng.exponential(600))
    return tuple(spans)


def _tools(
    rng: np.random.Generator, phases: tuple[Span, ...], away: tuple[Span, ...]
) -> tuple[Span, ...]:
    wanted: list[str] = []
    for number, span in enumerate(phases):
        index = PHASES.index(span.name)
        length = span.end_s - span.start_s
        # The next phase's tool is brought in before the phase is said to change.
        lead = int(rng.integers(2, 9)) if number + 1 < len(phases) and length > 40 else 0
        wanted += _sets(rng, TOOL_SETS[index], length - lead)
        if lead:
            following = TOOL_SETS[PHASES.index(phases[number + 1].name)]
            wanted += [_draw(rng, following, allow_none=False)] * lead
    for span in away:
        for second in range(span.start_s, min(span.end_s, len(wanted))):
            wanted[second] = ""
    return _runs(wanted)


def _sets(rng: np.random.Generator, shares: dict[str, float], length: int) -> list[str]:
    out: list[str] = []
    while len(out) < length:
        tools = _draw(rng, shares)
        worker = next((t for t in "HCSBIPG" if t in tools), "")
        stay = DWELL_S[worker] * np.exp(rng.normal(0, DWELL_SPREAD))
        out += [tools] * int(np.clip(round(stay), 1, 150))
    return out[:length]


def _draw(rng: np.random.Generator, shares: dict[str, float], allow_none: bool = True) -> str:
    """Draw a set so that its share of the seconds, not of the draws, is the wanted one."""
    names = [n for n in shares if n or allow_none]
    weights = np.array(
        [shares[n] / DWELL_S[next((t for t in "HCSBIPG" if t in n), "")] for n in names]
    )
    return names[int(rng.choice(len(names), p=weights / weights.sum()))]


def _runs(wanted: list[str]) -> tuple[Span, ...]:
    spans = []
    for letter, name in LETTERS.items():
        start = None
        for second, tools in enumerate([*wanted, ""]):
            if letter in tools and start is None:
                start = second
            elif letter not in tools and start is not None:
                spans.append(Span(name=name, start_s=start, end_s=second))
                start = None
    return tuple(sorted(spans, key=lambda s: (s.start_s, s.name)))
