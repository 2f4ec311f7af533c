"""Pictures that leave the window, in the recording's own raster. GUI thread.

One with its overlay bears the research mark; the bare one is the frame, pixel for pixel, and says
so in the file. Names tell the case and the frame, never a person.
"""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QStandardPaths, QUrl
from PySide6.QtGui import QDesktopServices, QGuiApplication

from app import __version__
from app.core.resources import RESEARCH_USE_SHORT
from app.ui.messages import Message, Tone
from app.ui.session import Session
from app.ui.stage import Stage
from app.ui.words import clock

NOT_SAVED = "The picture was not saved; check the disk."


def picture_folder() -> Path:
    """Where snapshots go: the user's folder for pictures."""
    place = QStandardPaths.StandardLocation.PicturesLocation
    return Path(QStandardPaths.writableLocation(place) or Path.home()) / "Trocar"


def save_snapshot(
    stage: Stage,
    session: Session,
    folder: Path | None = None,
    *,
    with_overlay: bool = True,
    as_shown: bool = False,
) -> Message | None:
    """Save the frame on the stage as PNG; what to tell the user.

    Args:
        stage: where it is on screen.
        session: which case and frame it is.
        folder: where it goes.
        with_overlay: with what is drawn on it, and the research mark.
        as_shown: adjusted and cleared of smoke as on screen; else as recorded.
    """
    if session.frame is None or session.case is None:
        return None
    folder = folder or picture_folder()
    bare = "-as-shown" if as_shown else "" if with_overlay else "-plain"
    path = folder / f"case-{session.case.case_id}-frame-{session.frame.index}{bare}.png"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return Message(text=NOT_SAVED, tone=Tone.ERROR, detail=error.strerror or "")
    picture = stage.snapshot(with_overlay=with_overlay, as_shown=as_shown)
    shown = "; ".join(stage.chips)
    pixels = f"as shown: {shown}" if as_shown and shown else "as recorded"
    for key, value in {**about(session), "Pixels": pixels}.items():
        picture.setText(key, value)
    if not picture.save(str(path), "PNG"):
        return Message(text=NOT_SAVED, tone=Tone.ERROR)
    url = QUrl.fromLocalFile(str(path))
    return Message(
        text=f"{'Picture' if with_overlay else 'Bare picture'} saved as {path.name}, {pixels}.",
        tone=Tone.OK,
        button="Open",
        action=lambda: QDesktopServices.openUrl(url),
        lasting_s=5,
        key="snapshot",
    )


def about(session: Session) -> dict[str, str]:
    """What a saved picture says of itself: case, frame, pts, time; never a name."""
    frame, case, asset = session.frame, session.case, session.asset
    if frame is None or case is None or asset is None:
        return {}
    return {
        "Case": case.case_id,
        "Frame": str(frame.index),
        "Pts": f"{frame.pts} in {asset.time_base} s",
        "Time": "".join(clock(frame.time_ms)),
        "Software": f"Trocar {__version__}",
        "Description": RESEARCH_USE_SHORT,
    }


def copy_picture(stage: Stage) -> Message:
    """Copy the picture on the stage with its overlay; what to tell the user."""
    QGuiApplication.clipboard().setImage(stage.snapshot())
    return Message(text="Picture copied.", tone=Tone.OK, lasting_s=2)


def copy_moment(session: Session) -> Message | None:
    """Copy which frame is on screen as a line of text; what to tell the user."""
    known = about(session)
    if not known:
        return None
    words = f"case {known['Case']}, {known['Time']}, frame {known['Frame']}, pts {known['Pts']}"
    QGuiApplication.clipboard().setText(words)
    return Message(text=f"Copied: {words}", tone=Tone.OK, lasting_s=3, key="copied")
