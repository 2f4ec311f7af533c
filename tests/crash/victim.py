"""A child process that works on a library until it is killed. Prints what was acknowledged.

Run as ``python -m tests.crash.victim DEED FOLDER [ARGUMENT]``. Every deed first prints ``ready``.
"""

from __future__ import annotations

import itertools
import sys
import time
from pathlib import Path

from app.core.case import Case
from app.core.prediction import FramePrediction, Instance
from app.store import Library, Saved
from app.store.restore import restore
from tests.helpers.human_work import FRAMES, STEP, asset, draw, mask

CLASSES = ("grasper", "hook")


def say(line: object) -> None:
    """One line to whoever kills us, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _case(library: Library) -> Case:
    """The library's first case, made where there is none."""
    found = library.cases()
    return found[0] if found else library.writer.create_case("Case", "x", (asset(),)).result()


def storm(folder: Path) -> None:
    """Draw, undo and redo without end, several requests in flight; each saved row is printed."""
    with Library.open(folder, backup_every_s=0.1) as library:
        case_id = _case(library).case_id
        first = len(library.corrections(case_id))

        def acknowledge(saved: Saved) -> None:
            say(saved.seq)

        library.writer.on_saved(acknowledge)
        say("ready")
        for i in itertools.count(first):
            futures = [library.writer.commit(draw(case_id, f"a{i}-{k}", i)) for k in range(3)]
            if i % 4 == 0:
                futures[-1].result()
                library.writer.undo(case_id)
            if i % 8 == 0:
                library.writer.redo(case_id)
            futures[0].result()


def predict(folder: Path) -> None:
    """Put frame after frame; the number of each stored one is printed."""
    with Library.open(folder) as library:
        store = library.predictions(_case(library).case_id)
        run = next(iter(store.runs()), None) or store.start_run(
            asset=asset(), model="m", task="t", weights_sha256="", classes=CLASSES,
            settings={}, sample_every=1, frames_expected=FRAMES,
        )  # fmt: skip
        done = {p // STEP for p in store.stored_pts(run.run_id).tolist()}
        say("ready")
        for i in itertools.count():
            if i in done:
                continue
            found = Instance(label=CLASSES[i % 2], mask=mask(i), score=0.5)
            frames = [FramePrediction(pts=i * STEP, index=i, instances=(found,) * 4)]
            store.put_frames(run.run_id, frames)
            say(i)


def back_up(folder: Path) -> None:
    """Back up after every correction."""
    with Library.open(folder) as library:
        case_id = _case(library).case_id
        say("ready")
        for i in itertools.count(len(library.corrections(case_id))):
            library.writer.commit(draw(case_id, f"b{i}", i)).result()
            made = library.back_up()
            say(made.path.name if made else "unchanged")


def delete(folder: Path) -> None:
    """Delete the second case."""
    with Library.open(folder) as library:
        say("ready")
        library.writer.delete_case("0002").result()
        say("deleted")


def put_back(folder: Path, backup: Path) -> None:
    """Restore a backup."""
    say("ready")
    restore(folder, backup)
    say("restored")


def migrate(folder: Path) -> None:
    """Open a library of today with a program of tomorrow, whose migration takes its time."""
    from sqlite_utils import Database

    from app.store import schema

    steps = schema.migrations()

    @steps()
    def notes(db: Database) -> None:
        db.execute("CREATE TABLE notes (text TEXT NOT NULL) STRICT")
        for _ in range(400):
            db.execute("INSERT INTO notes SELECT hex(changes) FROM corrections")
        db.execute(f"PRAGMA user_version={schema.VERSION}")

    schema.VERSION += 1
    schema.migrations = lambda: steps
    say("ready")
    with Library.open(folder):
        say("migrated")


def record(folder: Path, source: Path) -> None:
    """Record, mark and key phases without end; what is durable is printed, and what has come."""
    from app.live import LiveSession

    with Library.open(folder) as library:
        session = LiveSession(library, f"file:{source}", folder=folder.parent / "recordings")
        session.start()
        session.record().result()
        while session.asset is None or session.state.frames < 5:
            time.sleep(0.01)
        say("ready")
        for i in itertools.count():
            mark = session.mark(last_s=0.2, note=f"mark {i}").result()
            say(f"mark {mark.frame.pts}")
            line = session.key_phase(CLASSES[i % 2], reaction_ms=20).result()
            say(f"phase {line.segments[-1].start_pts}")
            say(f"came {session.capture.newest_pts}")
            shown = session.state.frames
            while session.state.frames < shown + 3:
                time.sleep(0.01)


DEEDS = {
    "record": record,
    "storm": storm,
    "predict": predict,
    "back_up": back_up,
    "delete": delete,
    "put_back": put_back,
    "migrate": migrate,
}

if __name__ == "__main__":
    DEEDS[sys.argv[1]](*map(Path, sys.argv[2:]))
