"""One scripted operation's looks: its scope, colours, tissue along the phases, instruments.

Everything is drawn once from the seed; the video asks for what holds at a moment.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from app.learning.phantom import effects, material
from app.learning.phantom.actors import Actor, Camera, Port
from app.learning.phantom.bag import specimen_bag
from app.learning.phantom.compose import Look, random_look
from app.learning.phantom.cutouts import cutouts
from app.learning.phantom.instruments import Instrument
from app.learning.phantom.rendered import MAKERS
from app.learning.phantom.script import Procedure, Span

RUSH_S = 0.35
CUTOUT_SHARE = {"grasper": 0.6, "hook": 0.5, "irrigator": 0.6}
TROCAR_VIEWS = ("00003-22976-frame-87659", "00011-23317-frame-76950")
# Burnt and bloody spots on the tissue when a phase begins and when it ends.
WEAR = {
    "preparation": ((0, 0), (0, 0)),
    "calot_triangle_dissection": ((0, 0), (7, 4)),
    "clipping_cutting": ((5, 3), (6, 5)),
    "gallbladder_dissection": ((5, 4), (14, 9)),
    "gallbladder_packaging": ((9, 8), (9, 8)),
    "cleaning_coagulation": ((9, 12), (9, 3)),
    "gallbladder_retraction": ((1, 1), (1, 1)),
}
CLIPPED = ("clipping_cutting", "gallbladder_dissection")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One stretch over one plate."""

    start_s: float
    end_s: float
    plate: str
    phase: str
    camera: Camera
    wear: tuple[int, int]
    clips: int
    seed: int

    def rush(self, seconds: float) -> float:
        """How far the camera is swept aside at a cut, in frame widths."""
        late = max(1 - (self.end_s - seconds) / RUSH_S, 0.0)
        early = max(1 - (seconds - self.start_s) / RUSH_S, 0.0)
        return 0.6 * (late * late - early * early)


class Case:
    """What belongs to one operation and does not change from frame to frame."""

    def __init__(self, seed: int, procedure: Procedure, size: tuple[int, int]) -> None:
        self.seed = seed
        self._size = size
        # One generator for each matter: changing the tools leaves the tissue as it is.
        looks, shots, cast, acts, trips, dirt = (
            np.random.default_rng([seed, 1, matter]) for matter in range(6)
        )
        self.course = float(looks.uniform(0, 40))
        self._scope(looks)
        self.grade = (
            1 + looks.uniform(-0.07, 0.07, 3),
            float(np.exp(looks.uniform(-0.15, 0.15))),
            float(1 + looks.uniform(-0.15, 0.15)),
        )
        self.falloff = round(float(looks.uniform(0.1, 0.4)), 2)
        self.grain = float(looks.uniform(0.003, 0.012))
        self.blur = float(looks.uniform(0, 0.0012)) * size[1]
        self._target = looks.normal([0.46, 0.29, 0.27], 0.03)
        self._shots = self._cut(shots, procedure)
        self._tools = self._cast(cast)
        self._actors = self._act(acts, procedure)
        self._away = [self._trip(trips, span) for span in procedure.away]
        self._dirt = self._dirty(dirt, procedure.seconds)

    def _scope(self, rng: np.random.Generator) -> None:
        """A real scope's view, with what the recorder writes beside it."""
        height, width = self._size
        stills = [s for s in material.stills_for("clean") if s.view[2] < 480]
        still = stills[int(rng.integers(len(stills)))]
        cover = max(height / 540, width / 960)
        x, y, radius = (v * cover for v in still.view)
        offset = ((960 * cover - width) / 2, (540 * cover - height) / 2)
        self.view = (x - offset[0], y - offset[1], radius)
        self.round_view = material.view_mask(self.view, self._size)
        self._border = None
        if rng.random() < 0.4:
            matrix = np.array([[cover, 0, -offset[0]], [0, cover, -offset[1]]])
            picture = cv2.warpAffine(material.picture(still.name), matrix, (width, height))
            writes = cv2.dilate(self.round_view, np.ones((5, 5), np.uint8)) == 0
            writes[: int(0.87 * height)] = False
            writes[:, int(0.22 * width) : int(0.83 * width)] = False
            writes &= picture.max(axis=2) > 50
            self._border = picture * writes[..., None]

    def bordered(self, rgb: np.ndarray, whole: bool) -> np.ndarray:
        """Add the recorder's writing beside the view."""
        if self._border is None or whole:
            return rgb
        return np.maximum(rgb, self._border)

    def _cut(self, rng: np.random.Generator, procedure: Procedure) -> list[Shot]:
        shots = []
        last = ""
        for span in procedure.phases:
            plates = [s.name for s in material.stills() if span.name in s.phases]
            chosen = list(rng.permutation(plates)[:4])
            now = span.start_s
            while now < span.end_s:
                end = min(now + int(rng.uniform(25, 110)), span.end_s)
                if span.end_s - end < 12:
                    end = span.end_s
                pool = [p for p in chosen if p != last] or chosen
                last = str(pool[int(rng.integers(len(pool)))])
                shots.append(self._shot(rng, span, now, end, last))
                now = end
        return shots

    def _shot(self, rng, span: Span, start: int, end: int, plate: str) -> Shot:
        done = ((start + end) / 2 - span.start_s) / (span.end_s - span.start_s)
        first, final = WEAR[span.name]
        wear = tuple(
            round(a + (b - a) * done + rng.uniform(-1, 1))
            for a, b in zip(first, final, strict=True)
        )
        clips = 0
        if span.name in CLIPPED:
            clips = int(rng.integers(2, 5)) if span.name != CLIPPED[0] or done > 0.35 else 0
        camera = Camera(
            course=float(rng.uniform(0, 40)),
            turn=float(rng.normal(0, 0.14)),
            zoom=float(rng.uniform(1.1, 1.45)),
            mirror=1.0,
            at=(float(rng.uniform(-0.06, 0.06)), float(rng.uniform(-0.05, 0.05))),
        )
        return Shot(
            start_s=start,
            end_s=end,
            plate=plate,
            phase=span.name,
            camera=camera,
            wear=wear,
            clips=clips,
            seed=int(rng.integers(2**31)),
        )

    def _cast(self, rng: np.random.Generator) -> dict[str, list[tuple[Instrument, float]]]:
        """The instruments of this operation: one or two of a kind, with their sizes."""
        width = self._size[1]
        cast: dict[str, list[tuple[Instrument, float]]] = {}
        for key, maker in MAKERS.items():
            cast[key] = []
            for _ in range(2 if key == "grasper" else 1):
                real = [c for c in cutouts() if c.key == key]
                if rng.random() < CUTOUT_SHARE.get(key, 0.0):
                    instrument = real[int(rng.integers(len(real)))]
                    cast[key].append((instrument, float(rng.uniform(0.85, 1.25)) / 960))
                    continue
                share = {"grasper": 0.058, "hook": 0.075, "clipper": 0.07, "irrigator": 0.075}
                across = width * share.get(key, 0.06) * float(np.exp(rng.normal(0, 0.2)))
                instrument = maker(rng, across, 1.15 * np.hypot(*self._size))
                cast[key].append((instrument, 1.0 / width))
        bag = specimen_bag(rng, width * rng.uniform(0.42, 0.75))
        cast["specimen_bag"] = [(bag, 1.0 / width)]
        return cast

    def _act(self, rng: np.random.Generator, procedure: Procedure) -> list[Actor]:
        """Who comes and goes; each kind of tool keeps to its side of the table."""
        side = 1.0 if rng.random() < 0.75 else -1.0
        ports = {
            "assist": Port(x=-side * rng.uniform(1.3, 2.0), y=rng.uniform(-1.4, 0.5)),
            "work": Port(x=side * rng.uniform(1.3, 2.0), y=rng.uniform(-0.6, 1.3)),
        }
        centre = rng.normal(0, 0.08, 2)
        looks: dict[int, Look] = {}
        actors = []
        for number, span in enumerate(procedure.tools):
            choice = self._tools[span.name]
            instrument, scale = choice[int(rng.integers(len(choice)))]
            look = looks.setdefault(id(instrument), _in_focus(random_look(rng)))
            port = ports["assist" if span.name == "grasper" else "work"]
            away = np.array([port.x, port.y]) / np.hypot(port.x, port.y)
            reach = rng.uniform(0.12, 0.4) if span.name == "grasper" else rng.uniform(-0.05, 0.2)
            home = centre + away * reach + rng.normal(0, 0.07, 2)
            if span.name == "specimen_bag":
                home = centre + rng.normal([0.15, 0.4], 0.1)
            actors.append(
                Actor(
                    key=span.name,
                    track=number + 1,
                    start_s=span.start_s,
                    end_s=span.end_s,
                    instrument=instrument,
                    look=look,
                    port=port,
                    scale=scale,
                    home=(float(home[0]), float(home[1])),
                    course=float(rng.uniform(0, 40)),
                )
            )
        return actors

    def actors_at(self, seconds: float) -> list[Actor]:
        """Who is in the scene, the undermost first: bag, assistant, working hand."""
        order = {"specimen_bag": 0, "grasper": 1}
        found = [a for a in self._actors if a.start_s <= seconds < a.end_s]
        return sorted(found, key=lambda a: (order.get(a.key, 2), a.track))

    def shot_at(self, seconds: float) -> Shot:
        """The stretch that this moment belongs to."""
        return next((s for s in self._shots if seconds < s.end_s), self._shots[-1])

    def tissue(self, shot: Shot, scale: float) -> np.ndarray:
        """A shot's plate in this case's colours, with the marks the operation has left so far."""
        plate = material.plate(shot.plate, scale, repaired=True)
        tissue = _toned(plate.tissue.astype(np.float32) / 255, self._target)
        rng = np.random.default_rng([self.seed, shot.seed])
        height, width = tissue.shape[:2]
        for _ in range(shot.wear[0]):
            near = rng.normal([0.5, 0.5], [0.09, 0.09]) * [width, height]
            effects.burns_on(tissue, rng, near, rng.uniform(0.03, 0.12), int(rng.integers(3, 9)))
        for _ in range(shot.wear[1]):
            near = rng.normal([0.5, 0.52], [0.11, 0.11]) * [width, height]
            effects.blood_on(tissue, rng, near=near, span=rng.uniform(0.03, 0.12))
        first = rng.normal([0.5, 0.5], [0.04, 0.04]) * [width, height]
        angle = rng.uniform(0, np.pi)
        apart = 0.022 * width * np.array([-np.sin(angle), np.cos(angle)])
        for number in range(shot.clips):
            at = first + number * apart + rng.normal(0, 0.003 * width, 2)
            _clip_on(tissue, rng, at, angle + rng.normal(0, 0.2))
        return tissue

    def away_at(self, seconds: float) -> tuple[str, float, float] | None:
        """The still seen out of the body with seconds since and until a cut, or None inside."""
        for trip in self._away:
            for name, start, end in trip:
                if start <= seconds < end:
                    return name, seconds - start, end - seconds
        return None

    def _trip(self, rng: np.random.Generator, span: Span) -> list[tuple[str, float, float]]:
        """Out through the trocar, into the room, and back."""
        rooms = [s.name for s in material.stills_for("hard") if s.name not in TROCAR_VIEWS]
        trocar = str(TROCAR_VIEWS[int(rng.integers(len(TROCAR_VIEWS)))])
        length = span.end_s - span.start_s
        out = span.start_s + min(1.2, 0.2 * length)
        back = span.end_s - min(1.2, 0.2 * length)
        cuts = [(trocar, float(span.start_s), out)]
        now = out
        while now < back - 0.5:
            end = min(now + float(rng.uniform(2, 9)), back)
            name = "black" if rng.random() < 0.25 else str(rooms[int(rng.integers(len(rooms)))])
            cuts.append((name, now, end))
            now = end
        return [*cuts, (trocar, now, float(span.end_s))]

    def _dirty(self, rng: np.random.Generator, total: int) -> list[tuple[float, float, np.ndarray]]:
        """Dirt gathers on the lens now and then, and stays until the scope is cleaned."""
        spells = []
        now = float(rng.exponential(500))
        while now < total:
            clean = next((t[0][1] for t in self._away if t[0][1] > now), float(total))
            end = min(clean, now + float(rng.uniform(20, 200)))
            spells.append(
                (now, end, effects.dirt(rng, self._size) * np.float32(rng.uniform(0.4, 1)))
            )
            now = end + float(rng.exponential(700))
        return spells

    def dirt_at(self, seconds: float) -> np.ndarray | None:
        """Where the lens is dirty now, float32 (H, W), or None."""
        return next((d for start, end, d in self._dirt if start <= seconds < end), None)


def _in_focus(look: Look) -> Look:
    """A whole operation with one instrument out of focus would be odd."""
    return replace(look, blur=min(look.blur, 0.0018))


def _toned(tissue: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Bring a plate's mean colour half the way to the case's, so that plates fit together."""
    mean = tissue.reshape(-1, 3).mean(0)
    gain = np.clip((target / np.maximum(mean, 0.05)) ** 0.6, 0.65, 1.7).astype(np.float32)
    return np.clip(tissue * gain, 0, 1)


def _clip_on(tissue: np.ndarray, rng: np.random.Generator, at: np.ndarray, angle: float) -> None:
    """A metal clip on the stump: a short bright bar with a dark side. Not an instrument."""
    height, width = tissue.shape[:2]
    half = 0.012 * width * rng.uniform(0.7, 1.4)
    arm = np.array([np.cos(angle), np.sin(angle)]) * half
    bar = np.zeros((height, width), np.uint8)
    thick = max(1, round(width / 200))
    for shift, tone in ((thick, 0.15), (0, 0.85)):
        bar[:] = 0
        start, stop = at - arm + shift, at + arm + shift
        cv2.line(bar, _point(start), _point(stop), 255, thick, cv2.LINE_AA, 4)
        share = bar[..., None].astype(np.float32) / 255 * 0.9
        tissue *= 1 - share
        tissue += share * np.float32(tone)


def _point(at: np.ndarray) -> tuple[int, int]:
    return int(at[0] * 16), int(at[1] * 16)
