"""What the keyboard does in the timeline, and the menu that chooses a phase. GUI thread."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QPoint, QRectF
from PySide6.QtGui import QIcon, QPainter, QPixmap
from PySide6.QtWidgets import QMenu

from app.annotate import phases
from app.annotate.phases import Block, Tiers
from app.ui import theme
from app.ui.keys import Action, Scope
from app.ui.timeline.widget import Timeline
from app.ui.widgets import draw_letter

GROUP = "Phases"


def _action(id_: str, text: str, *keys: str, repeats: bool = False) -> Action:
    return Action(id=id_, text=text, keys=keys, scope=Scope.TIMELINE, group=GROUP, repeats=repeats)


ACTIONS: tuple[Action, ...] = (
    _action("phase_digits", "1 to 9, 0: name the block, or start that phase here"),
    _action("block_back", "Previous block", "Ctrl+Left", repeats=True),
    _action("block_on", "Next block", "Ctrl+Right", repeats=True),
    _action("tier_you", "To your blocks", "Ctrl+Up"),
    _action("tier_model", "To the model's blocks", "Ctrl+Down"),
    _action("block_edit", "Change the phase, or mark from I to O", "Return", "Enter"),
    _action("nudge_back", "Nearer boundary one frame back", "Alt+Left", repeats=True),
    _action("nudge_on", "Nearer boundary one frame on", "Alt+Right", repeats=True),
    _action("mark_in", "Mark from here", "I"),
    _action("mark_out", "Mark to here", "O"),
    _action("block_split", "Split the block here", "B"),
    _action("block_merge", "Merge with the next block", "Shift+B"),
    _action("boundary_here", "Nearer boundary to the playhead", "R"),
    _action("block_accept", "Take over the model's block", "A"),
    _action("phases_adopt", "Start from the model's phases", "Shift+A"),
    _action("block_remove", "Remove the block", "Del"),
    _action("timeline_in", "Zoom the timeline in", "Ctrl++", "Ctrl+=", repeats=True),
    _action("timeline_out", "Zoom the timeline out", "Ctrl+-", repeats=True),
    _action("timeline_all", "Show the whole case", "Ctrl+0"),
)


class TimelineCommands:
    """The timeline's keys and its phase menu.

    Attributes:
        playing: whether the video plays; then a digit starts a phase whatever is selected.
    """

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self.playing = False
        timeline.picker_requested.connect(self.open_picker)

    def table(self) -> dict[str, Callable[[], object]]:
        """Action id to what it does, for ``KeyMap.bind``."""
        return {
            "phase_digits": self.edit,
            "block_back": lambda: self.step(-1),
            "block_on": lambda: self.step(1),
            "tier_you": lambda: self.change_tier("you"),
            "tier_model": lambda: self.change_tier("model"),
            "block_edit": self.edit,
            "nudge_back": lambda: self.nudge(-1),
            "nudge_on": lambda: self.nudge(1),
            "mark_in": self.mark_in,
            "mark_out": self.mark_out,
            "block_split": self.split,
            "block_merge": self.merge,
            "boundary_here": self.boundary_here,
            "block_accept": self.accept,
            "phases_adopt": self.adopt,
            "block_remove": self.remove,
            "timeline_in": lambda: self.zoom(1.5),
            "timeline_out": lambda: self.zoom(1 / 1.5),
            "timeline_all": self._timeline.show_all,
        }

    @property
    def _tiers(self) -> Tiers | None:
        return self._timeline.data.tiers if self._timeline.data else None

    def digit(self, digit: int) -> None:
        """Relabel the selected block while paused; else start that phase at the playhead."""
        tiers, block = self._tiers, self._timeline.selected
        if tiers is None:
            return
        place = (digit - 1) % 10
        if digit == 0 and len(tiers.taxonomy.phases) > 10:
            self.open_picker(self._timeline.picker_point())
        elif place < len(tiers.taxonomy.phases):
            phase = tiers.taxonomy.phases[place].key
            if block is not None and not self.playing:
                self.relabel(phase)
            else:
                self.start(phase)

    def start(self, phase: str) -> None:
        """A phase begins at the playhead."""
        if (tiers := self._tiers) is not None:
            at = self._timeline.playhead
            self._timeline.request(phases.start_at(tiers, at, phase))

    def relabel(self, phase: str) -> None:
        """Another phase for the selected block."""
        tiers, block = self._tiers, self._timeline.selected
        segment = tiers.segment(block) if tiers and block else None
        if tiers and block and segment:
            self._timeline.request(phases.relabel(tiers, block, phase), segment.start_pts)

    def step(self, by: int) -> None:
        """Select the block before or after, and go there."""
        tiers, block = self._tiers, self._timeline.selected
        if tiers is None:
            return
        row = block.row if block else ("you" if tiers.you else "model")
        line = tiers.you if row == "you" else tiers.model
        if line is None or not line.segments:
            return
        if block is None:
            here = line.index_at(self._timeline.playhead)
            index = 0 if here is None else here
        else:
            index = min(max(block.index + by, 0), len(line.segments) - 1)
        self._go(Block(row=row, index=index))

    def change_tier(self, row: phases.Row) -> None:
        """Select the block of the other tier at the playhead."""
        tiers = self._tiers
        line = (tiers.you if row == "you" else tiers.model) if tiers else None
        index = line.index_at(self._timeline.playhead) if line else None
        if index is not None:
            self._timeline.select(Block(row=row, index=index))

    def _go(self, block: Block) -> None:
        self._timeline.select(block)
        segment = self._tiers.segment(block) if self._tiers else None
        if segment is not None:
            self._timeline.reveal(segment.start_pts)
            self._timeline.seek_requested.emit(segment.start_pts)

    def _here(self) -> Block | None:
        """The selected block, else your block at the playhead, else the model's."""
        tiers, at = self._tiers, self._timeline.playhead
        if self._timeline.selected is not None or tiers is None:
            return self._timeline.selected
        for row, line in (("you", tiers.you), ("model", tiers.model)):
            index = line.index_at(at) if line else None
            if index is not None:
                return Block(row="you" if row == "you" else "model", index=index)
        return None

    def _no_block(self) -> None:
        if self._timeline.data is not None:
            self._timeline.refused.emit("There is no block at the playhead.")

    def nudge(self, frames: int) -> None:
        """The boundary nearer to the playhead moves by some frames, and the picture with it."""
        tiers, block = self._tiers, self._here()
        segment = tiers.segment(block) if tiers and block else None
        if tiers is None or block is None or segment is None:
            return
        edge = phases.nearer_edge(segment, self._timeline.playhead)
        at = segment.start_pts if edge == "start" else segment.end_pts
        to = at + frames * tiers.frame_pts
        inside = segment.end_pts - 1 if edge == "start" else segment.start_pts
        self._timeline.request(phases.move_edge(tiers, block, edge, to), inside)
        self._timeline.seek_requested.emit(min(to, tiers.end_pts - tiers.frame_pts))

    def boundary_here(self) -> None:
        """The boundary nearer to the playhead comes to it."""
        tiers, block = self._tiers, self._here()
        segment = tiers.segment(block) if tiers and block else None
        if tiers and block and segment:
            at = self._timeline.playhead
            edge = phases.nearer_edge(segment, at)
            inside = segment.end_pts - 1 if edge == "start" else segment.start_pts
            self._timeline.request(phases.set_boundary(tiers, block, at), inside)
        else:
            self._no_block()

    def split(self) -> None:
        """Cut the block at the playhead."""
        tiers, at = self._tiers, self._timeline.playhead
        block = self._here()
        if tiers and block:
            why = "The playhead is at the edge of this block; go inside it to split."
            self._timeline.request(phases.split(tiers, block, at), at, why)
        else:
            self._no_block()

    def merge(self) -> None:
        """The block swallows the next one."""
        tiers, block = self._tiers, self._here()
        segment = tiers.segment(block) if tiers and block else None
        if tiers and block and segment:
            merged = phases.merge(tiers, block)
            self._timeline.request(merged, segment.start_pts, "No block follows this one.")
        else:
            self._no_block()

    def remove(self) -> None:
        """Remove the selected block of yours."""
        tiers, block = self._tiers, self._timeline.selected
        if tiers and block:
            if block.row == "model":
                self._timeline.refused.emit("The model's blocks stay. Change yours instead.")
                return
            self._timeline.request(phases.remove(tiers, block))
            self._timeline.select(None)
        else:
            self._timeline.refused.emit("Pick one of your blocks first.")

    def accept(self) -> None:
        """Take one block of the model over."""
        tiers, block = self._tiers, self._timeline.selected
        if tiers and block is None and tiers.model is not None:
            index = tiers.model.index_at(self._timeline.playhead)
            block = None if index is None else Block(row="model", index=index)
        segment = tiers.segment(block) if tiers and block else None
        if tiers and block and segment:
            adopted = phases.adopt_block(tiers, block)
            self._timeline.request(adopted, segment.start_pts, "Your block says the same already.")
        else:
            self._timeline.refused.emit("The model has no block here.")

    def adopt(self) -> None:
        """Take the model's whole timeline over to start from."""
        if (tiers := self._tiers) is not None:
            why = "Nothing of the model's phases is left to take over."
            self._timeline.request(phases.adopt_all(tiers), None, why)

    def mark_in(self) -> None:
        """A new block will begin at the playhead."""
        end = self._timeline.marks[1]
        at = self._timeline.playhead
        self._timeline.set_marks(at, end if end is not None and end > at else None)

    def mark_out(self) -> None:
        """A new block will end after the frame at the playhead."""
        tiers = self._tiers
        if tiers is not None:
            start = self._timeline.marks[0]
            at = min(self._timeline.playhead + tiers.frame_pts, tiers.end_pts)
            self._timeline.set_marks(start if start is not None and start < at else None, at)

    def edit(self) -> None:
        """Choose a phase for the marked stretch, or for the selected block."""
        if None not in self._timeline.marks or self._here() is not None:
            if None in self._timeline.marks and self._timeline.selected is None:
                self._timeline.select(self._here())
            self.open_picker(self._timeline.picker_point())

    def choose(self, phase: str) -> None:
        """The picker's answer: the marked stretch, else the selected block, else from here on."""
        tiers = self._tiers
        start, end = self._timeline.marks
        if tiers is not None and start is not None and end is not None:
            self._timeline.set_marks(None, None)
            self._timeline.request(phases.create(tiers, start, end, phase), start)
        elif self._timeline.selected is not None:
            self.relabel(phase)
        else:
            self.start(phase)

    def escape(self) -> bool:
        """Drop the marks, else the selection; False when there was neither."""
        if self._timeline.marks != (None, None):
            self._timeline.set_marks(None, None)
            return True
        had = self._timeline.selected is not None
        self._timeline.select(None)
        return had

    def zoom(self, factor: float) -> None:
        """Zoom at the playhead where it is visible, else in the middle."""
        view = self._timeline.view
        x = view.x(self._timeline.playhead)
        if not view.left_px <= x <= view.left_px + view.width_px:
            x = view.left_px + view.width_px / 2
        closer = view.zoomed(factor, x)
        self._timeline.show_stretch(closer.start_pts, closer.end_pts)

    def open_picker(self, at: QPoint) -> QMenu | None:
        """Show the phases of the case to choose from."""
        tiers = self._tiers
        if tiers is None or not tiers.taxonomy.phases:
            return None
        menu = QMenu(self._timeline)
        menu.setAccessibleName("Phases")
        ratio = self._timeline.devicePixelRatioF()
        for place, phase in enumerate(tiers.taxonomy.phases):
            digit = f"   {(place + 1) % 10}" if place < 10 else ""
            entry = menu.addAction(
                _letter_icon(phase.colour, phase.code, ratio), phase.name + digit
            )
            entry.triggered.connect(lambda _=False, key=phase.key: self.choose(key))
        block = self._timeline.selected
        if block is not None:
            menu.addSeparator()
            self._add_block_entries(menu, block)
        menu.aboutToHide.connect(menu.deleteLater)
        menu.popup(at)
        return menu

    def _add_block_entries(self, menu: QMenu, block: Block) -> None:
        entries: list[tuple[str, Callable[[], object]]] = [
            ("Split here\tB", self.split),
            ("Merge with the next\tShift+B", self.merge),
            ("Nearer boundary to the playhead\tR", self.boundary_here),
        ]
        if block.row == "you":
            entries.append(("Remove\tDel", self.remove))
        else:
            entries.append(("Take over as it is\tA", self.accept))
        for text, act in entries:
            menu.addAction(text).triggered.connect(lambda _=False, act=act: act())


def _letter_icon(colour: str, code: str, ratio: float) -> QIcon:
    side = theme.px(18)
    picture = QPixmap(round(side * ratio), round(side * ratio))
    picture.setDevicePixelRatio(ratio)
    picture.fill(theme.color("raised"))
    painter = QPainter(picture)
    draw_letter(painter, QRectF(0, 0, side, side), code, theme.human_paint(colour))
    painter.end()
    return QIcon(picture)
