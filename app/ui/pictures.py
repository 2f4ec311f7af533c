"""Pictures that leave the window: always with the research mark. GUI thread."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QStandardPaths
from PySide6.QtGui import QGuiApplication

from app.ui.messages import Message, Tone
from app.ui.session import Session
from app.ui.stage import Stage

NOT_SAVED = "The picture was not saved; check the disk."


def picture_folder() -> Path:
    """Where snapshots go: the user's folder for pictures."""
    place = QStandardPaths.StandardLocation.PicturesLocation
    return Path(QStandardPaths.writableLocation(place) or Path.home()) / "Trocar"


def save_snapshot(stage: Stage, session: Session, folder: Path | None = None) -> Message | None:
    """Save the picture on the stage with its overlay; what to tell the user."""
    if session.frame is None or session.case is None:
        return None
    folder = folder or picture_folder()
    path = folder / f"case-{session.case.case_id}-frame-{session.frame.index}.png"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return Message(text=NOT_SAVED, tone=Tone.ERROR, detail=error.strerror or "")
    if not stage.snapshot().save(str(path), "PNG"):
        return Message(text=NOT_SAVED, tone=Tone.ERROR)
    return Message(
        text=f"Picture saved as {path.name} in {folder.name}.", tone=Tone.OK, lasting_s=4
    )


def copy_picture(stage: Stage) -> Message:
    """Copy the picture on the stage with its overlay; what to tell the user."""
    QGuiApplication.clipboard().setImage(stage.snapshot())
    return Message(text="Picture copied.", tone=Tone.OK, lasting_s=2)
