"""The report as a PDF of A4 pages. Any thread with a Qt application behind it."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QBuffer, QByteArray, QIODevice, QMarginsF, QSizeF
from PySide6.QtGui import QFont, QPageLayout, QPageSize, QPdfWriter, QTextDocument

from app.analysis.report import print_html
from app.core.errors import EnvironmentProblem
from app.store import Library, files
from app.ui import theme

_MARGIN_MM = 15.0
_DPI = 600
_LAYOUT_DPI = 96
_BODY_PT = 9


def write_report_pdf(library: Library, case_id: str, path: Path) -> None:
    """Write the report of a case as a PDF.

    Raises:
        BadInput: there is no such case.
        EnvironmentProblem: the file cannot be written.
    """
    theme.load_fonts()
    page = QPageSize(QPageSize.PageSizeId.A4)
    margins = QMarginsF(_MARGIN_MM, _MARGIN_MM, _MARGIN_MM, _MARGIN_MM)
    layout = QPageLayout(page, QPageLayout.Orientation.Portrait, margins)
    wide = layout.paintRectPixels(_LAYOUT_DPI).width()
    made = QByteArray()
    buffer = QBuffer(made)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    writer = QPdfWriter(buffer)
    writer.setResolution(_DPI)
    writer.setPageSize(page)
    writer.setPageMargins(margins)
    writer.setCreator("Trocar")
    writer.setTitle(f"Case {case_id}")
    document = QTextDocument()
    document.documentLayout().setPaintDevice(writer)
    document.setDocumentMargin(0)
    # The window's font is measured in pixels: 13 of them are a speck on a page of 600 dpi.
    document.setDefaultFont(QFont(theme.FAMILY, _BODY_PT))
    document.setHtml(print_html(library, case_id, picture_px=(wide - 24) // 2))
    document.setPageSize(QSizeF(layout.paintRectPixels(_DPI).size()))
    document.print_(writer)
    buffer.close()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_file(path, bytes(made.data()))
    except OSError as error:
        raise EnvironmentProblem(
            f"The report could not be written to {path} ({error.strerror}); choose another place.",
            str(error),
        ) from error
