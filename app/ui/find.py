"""Moments like the frame on screen, looked for and pictured off the GUI thread.

The index is read and searched on the thread ``trocar-find``, a part of a second at a time, so that
what is found so far shows at once; pictures are decoded on ``trocar-find-pictures``.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QImage

from app.core.case import Asset, Case
from app.core.errors import TrocarError
from app.ui.background import Background
from app.ui.strip import Strip, read_strip
from app.ui.thumbnails import small_image, strip_key

if TYPE_CHECKING:
    from app.analysis.moment_rows import Encoder
    from app.analysis.moments import Moment, MomentIndex, Wanted
    from app.store import Library
    from app.video import VideoSource

HEIGHT_PX = 180
KEPT = 300
_SLICE_S = 0.3
_CLOSE_MS = 15_000.0
_CACHE_BYTES = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is looked for.

    Attributes:
        case_id, asset_id, time_ms: the frame that others shall be like.
        prompt: words of a prompt that is looked for in the frame's place; "" for the frame.
        wanted: which moments count.
        encoder: whose features are compared; the one that saw most cases when None.
    """

    case_id: str
    asset_id: str
    time_ms: float
    wanted: Wanted
    prompt: str = ""
    encoder: Encoder | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was found so far.

    Attributes:
        question: what it answers.
        read, cases: how many cases were read, of how many; the answer is whole once they are equal.
        encoder: whose features were compared, None where no model saw the recording.
        encoders: all that saw it.
        titles: what Models calls the models that saw it.
        knows_frame: the encoder saw the frame itself.
        prompts: words of all prompts that can be looked for.
        problem: why those of a model cannot, "" where they can; frames are looked for all the same.
        moments: most alike first.
        lacking: cases that the encoder did not see.
        phases, instruments: keys that can be filtered by.
        seconds, searched: how many seconds were searched, and of how many cases they are.
        search_ms: what the search took.
    """

    question: Question
    read: int
    cases: tuple[Case, ...]
    encoder: Encoder | None = None
    encoders: tuple[Encoder, ...] = ()
    titles: Mapping[str, str] = field(default_factory=dict)
    knows_frame: bool = False
    prompts: tuple[str, ...] = ()
    problem: str = ""
    moments: tuple[Moment, ...] = ()
    lacking: tuple[Case, ...] = ()
    phases: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()
    seconds: int = 0
    searched: int = 0
    search_ms: float = field(default=0.0, compare=False)

    def title_of(self, encoder: Encoder) -> str:
        """What Models calls an encoder's model; its name where it is gone."""
        return self.titles.get(encoder.model, encoder.model)

    @property
    def is_whole(self) -> bool:
        """Whether all cases were read."""
        return self.read >= len(self.cases)


class Finder(QObject):
    """Answers questions, the newest one alone.

    Signals:
        found: (Answer) so far; again until it is whole.
        pictured: (asset id, pts, QImage) of a moment; a null image where there is none.
        failed: (TrocarError) the library could not be read.
    """

    found = Signal(object)
    pictured = Signal(str, object, QImage)
    failed = Signal(object)

    def __init__(self, library: Library) -> None:
        super().__init__()
        self._library = library
        self._io = Background("trocar-find")
        self._pictures = Background("trocar-find-pictures")
        self._question: Question | None = None
        self._wanted: dict[tuple[str, int], Moment] = {}
        self._kept: OrderedDict[tuple[str, int], QImage] = OrderedDict()
        # Touched on their threads alone.
        self._index: MomentIndex | None = None
        self._prompts: dict[Encoder, dict[str, NDArray[np.float32]] | TrocarError] = {}
        self._titles: dict[str, str] = {}
        self._prompts_for: Question | None = None
        self._source: VideoSource | None = None
        self._of: Asset | None = None

    def ask(self, question: Question) -> None:
        """Look for moments; a question asked before is given up."""
        self._question = question
        self._io.run(lambda: self._answer(question), self._tell, self.failed.emit, newest="ask")

    def stop(self) -> None:
        """Nobody waits for an answer any more; no recording stays open."""
        self._question, self._wanted = None, {}
        self._pictures.run(self._release, newest="picture")

    def picture(self, moments: Sequence[Moment]) -> None:
        """Make pictures of moments, the first ones first; what else was wanted is given up."""
        wanted = {(m.asset.asset_id, m.pts): m for m in moments}
        self._wanted = {key: m for key, m in wanted.items() if key not in self._kept}
        for key in wanted:
            if key in self._kept:
                self.pictured.emit(*key, self._kept[key])
        missing = dict(self._wanted)
        if missing:
            self._pictures.run(lambda: self._stand_ins(missing), self._stand_in)
        self._next_picture()

    def shrink(self, rgb: NDArray[np.uint8], done: Callable[[QImage], object]) -> None:
        """Make a frame small."""
        self._pictures.run(lambda: small_image(rgb, HEIGHT_PX), done)

    def close(self) -> None:
        """End the threads."""
        self._question, self._wanted = None, {}
        self._io.close()
        self._pictures.close()
        self._release()

    def _tell(self, answer: Answer) -> None:
        if answer.question is not self._question:
            return
        self.found.emit(answer)
        if not answer.is_whole:
            self.ask(answer.question)

    def _stand_in(self, found: dict[tuple[str, int], QImage]) -> None:
        for key, image in found.items():
            if key in self._wanted:
                self.pictured.emit(*key, image)

    def _next_picture(self) -> None:
        if not self._wanted:
            return
        # Of one recording after the other: opening one costs more than a frame of it.
        of = self._of.asset_id if self._of is not None else ""
        key = next((k for k in self._wanted if k[0] == of), next(iter(self._wanted)))
        moment = self._wanted[key]

        def done(image: QImage) -> None:
            self._kept[key] = image
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            self.pictured.emit(*key, image)
            self._wanted.pop(key, None)
            self._next_picture()

        self._pictures.run(lambda: self._decode(moment), done, newest="picture")

    # On the threads

    def _answer(self, question: Question) -> Answer:
        from app.analysis.moments import MomentIndex
        from app.inference.cards import model_cards

        if self._index is None:
            self._index = MomentIndex(self._library)
        index = self._index
        read, _ = index.refresh(first=question.case_id, for_s=_SLICE_S)
        encoders = index.encoders(question.asset_id)
        encoder = question.encoder if question.encoder in encoders else next(iter(encoders), None)
        if self._prompts_for is not question:  # a question's slices read them once
            self._prompts, self._prompts_for = {}, question
            self._titles = {c.name: c.title for c in model_cards(self._library.folder)}
        reader, prompts, problem = self._read_prompts(index)
        if question.prompt in prompts:
            encoder = reader
        if encoder is None:
            return Answer(
                question=question,
                read=read,
                cases=index.cases,
                prompts=tuple(prompts),
                problem=problem,
            )
        began = time.perf_counter()
        place: tuple[str, float] | None = None
        if question.prompt in prompts:
            vector = prompts[question.prompt]
        else:
            place = question.asset_id, question.time_ms
            vector = index.vector_at(encoder, *place)
        moments = index.search(encoder, vector, question.wanted, apart_from=place)
        return Answer(
            question=question,
            read=read,
            cases=index.cases,
            encoder=encoder,
            encoders=encoders,
            titles=self._titles,
            knows_frame=bool(vector.size),
            prompts=tuple(prompts),
            problem=problem,
            moments=moments,
            lacking=index.lacking(encoder),
            phases=index.phases(encoder),
            instruments=index.instruments(encoder),
            seconds=index.seconds(encoder),
            searched=index.searched(encoder),
            search_ms=1000 * (time.perf_counter() - began),
        )

    def _read_prompts(
        self, index: MomentIndex
    ) -> tuple[Encoder | None, dict[str, NDArray[np.float32]], str]:
        """The encoder that reads words and saw most cases, the prompts that it knows, and what is
        wrong with those of another one."""
        problem = ""
        for encoder in index.encoders():
            if not encoder.reads_words:
                continue
            known = self._prompts_of(encoder)
            if isinstance(known, TrocarError):
                problem = known.user_message
            elif known:
                return encoder, known, problem
        return None, {}, problem

    def _prompts_of(self, encoder: Encoder) -> dict[str, NDArray[np.float32]] | TrocarError:
        from app.inference.prompts import prompts_of

        if encoder not in self._prompts:
            try:
                found = prompts_of(encoder.model, encoder.weights_sha256, self._library.folder)
                self._prompts[encoder] = found
            except TrocarError as error:
                self._prompts[encoder] = error
        return self._prompts[encoder]

    def _stand_ins(self, moments: dict[tuple[str, int], Moment]) -> dict[tuple[str, int], QImage]:
        """Keyframes close by, of recordings that were open before: at hand without decoding."""
        strips: dict[str, Strip | None] = {}
        found = {}
        for key, moment in moments.items():
            asset = moment.asset
            if asset.asset_id not in strips:
                strips[asset.asset_id] = read_strip(self._library.cache_folder, strip_key(asset))
            strip = strips[asset.asset_id]
            image = strip.nearest(moment.time_ms, _CLOSE_MS) if strip is not None else None
            if image is not None:
                found[key] = image
        return found

    def _decode(self, moment: Moment) -> QImage:
        from app.video import open_recording

        try:
            if self._source is None or self._of != moment.asset:
                self._release()
                self._source = open_recording(
                    moment.asset, missing_ok=True, cache_bytes=_CACHE_BYTES
                )
                self._of = moment.asset
            return small_image(self._source.frame_at(moment.time_ms / 1000).rgb, HEIGHT_PX)
        except TrocarError:  # not there, or it does not decode
            return QImage()

    def _release(self) -> None:
        if self._source is not None:
            self._source.close()
        self._source = self._of = None
