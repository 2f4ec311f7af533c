"""The style sheet, generated from the current theme's tokens. Colours, radius and padding only.

Variants are chosen by the dynamic property ``kind`` (``main``, ``plain``, ``osd``, ``card``...).
Focus rings and shadows are painted, not styled: Qt's sheets have neither.
"""

from __future__ import annotations

from string import Template

from app.ui import theme

_SHEET = Template(
    """
QWidget { color: $text; }
QMainWindow, QWidget#window { background: $window; }
QToolTip { background: $raised; color: $text; border: 1px solid $line_strong; padding: 4px 6px; }
QLabel { background: transparent; }
QLabel[tone="2"] { color: $text_2; }
QLabel[tone="3"] { color: $text_3; }
QLabel[tone="ok"] { color: $ok; }
QLabel[tone="warn"] { color: $warn; }
QLabel[tone="error"] { color: $error; }
QFrame[kind="panel"], QWidget[kind="panel"] { background: $panel; }
QFrame[kind="bar"], QWidget[kind="bar"] { background: $window; }
QFrame[kind="line"] { background: $line; border: none; }
QFrame[kind="osdline"] { background: $osd_pressed; border: none; }
QFrame[kind="card"] { background: $raised; border: 1px solid $line; border-radius: 8px; }
QFrame[kind="sheet"] { background: $panel; border: 1px solid $line_strong; border-radius: 14px; }
QFrame[kind="livebanner"] { background: $banner_bg; border: none;
    border-bottom: 1px solid $banner_line; }
QFrame[kind="banner"] { background: $banner_bg; border: 1px solid $banner_line;
    border-radius: 8px; }

QPushButton { background: $control; color: $text; border: 1px solid $line_strong;
    border-radius: 6px; padding: 0 ${pad}px; min-height: ${h_button}px; font-weight: 500; }
QPushButton:hover { background: $hover; }
QPushButton:pressed, QPushButton:checked { background: $pressed; }
QPushButton:disabled { color: $text_off; border-color: $line; background: transparent; }
QPushButton[kind="main"] { background: $accent; color: $on_accent; border: none;
    font-weight: 600; }
QPushButton[kind="main"]:hover { background: $accent_hover; }
QPushButton[kind="main"]:pressed { background: $accent_pressed; }
QPushButton[kind="main"]:disabled { background: $control; color: $text_off; }
QPushButton[kind="plain"] { background: transparent; border: none; color: $text_2; }
QPushButton[kind="plain"]:hover { background: $hover; color: $text; }
QPushButton[kind="plain"]:pressed { background: $pressed; }
QPushButton[kind="word"] { background: transparent; border: none; color: $text_2;
    padding: 0 ${pad_word}px; font-weight: 400; }
QPushButton[kind="word"]:hover { color: $text; background: $panel; }
QPushButton[kind="word"]:checked { background: $control; color: $text; font-weight: 600; }
QPushButton[kind="link"] { background: transparent; border: none; color: $accent; padding: 0 2px;
    min-height: 0; }
QPushButton[kind="link"]:hover { color: $accent_hover; }

QToolButton { background: transparent; border: none; border-radius: 6px; padding: 0;
    min-width: ${h_tool}px; min-height: ${h_tool}px; color: $text_2; }
QToolButton:hover { background: $control; }
QToolButton:pressed { background: $pressed; }
QToolButton:checked { background: $accent_tint; color: $accent; }
QToolButton:disabled { color: $text_off; background: transparent; }
QToolButton[kind="status"] { min-height: 0; padding: 0 8px; color: $text_2; border-radius: 4px; }
QToolButton[kind="status"]:hover { background: $control; color: $text; }
QToolButton[kind="small"] { min-width: 0; min-height: 0; }
QToolButton::menu-indicator { image: none; }

QWidget[kind="osd"] QToolButton, QWidget[kind="osd"] QPushButton { color: $osd_text;
    background: transparent; border: none; }
QWidget[kind="osd"] QToolButton:hover, QWidget[kind="osd"] QPushButton:hover {
    background: $osd_hover; }
QWidget[kind="osd"] QToolButton:pressed, QWidget[kind="osd"] QPushButton:pressed {
    background: $osd_pressed; }
QWidget[kind="osd"] QLabel { color: $osd_text; }
QWidget[kind="osd"] QPushButton[kind="main"] { background: $accent; color: $on_accent; }

QLineEdit, QComboBox, QSpinBox, QPlainTextEdit { background: $panel; color: $text;
    border: 1px solid $control_edge; border-radius: 6px; padding: 0 8px;
    min-height: ${h_field}px; selection-background-color: $accent;
    selection-color: $on_accent; }
QSpinBox::up-button, QSpinBox::down-button { width: 0; border: none; }
QSpinBox QLineEdit { border: none; padding: 0 8px; min-height: 0; background: transparent; }
QLineEdit:focus, QComboBox:focus, QSpinBox:focus, QPlainTextEdit:focus {
    border: 2px solid $accent; padding: 0 7px; }
QLineEdit:disabled, QComboBox:disabled, QSpinBox:disabled { color: $text_off;
    border-color: $line; }
QListWidget::item:disabled { color: $text_off; }
QLineEdit[wrong="true"] { border: 1px solid $error; }
QComboBox::drop-down { border: none; width: 24px; }
QComboBox::down-arrow { image: none; }
QComboBox QAbstractItemView { background: $raised; border: 1px solid $line_strong; color: $text;
    selection-background-color: $hover; selection-color: $text; padding: 4px; outline: none; }

QCheckBox, QRadioButton { spacing: 8px; background: transparent; }
QCheckBox:disabled, QRadioButton:disabled { color: $text_off; }

QMenu { background: $raised; border: 1px solid $line_strong; padding: 4px; }
QMenu::item { padding: 6px 28px 6px 12px; border-radius: 4px; color: $text; }
QMenu::item:selected { background: $hover; }
QMenu::item:disabled { color: $text_off; }
QMenu::separator { height: 1px; background: $line; margin: 4px 8px; }

QTabBar { background: $panel; qproperty-drawBase: 0; }
QTabBar::tab { background: transparent; color: $text_2; padding: 0 12px; height: ${h_tab}px;
    border-bottom: 2px solid transparent; }
QTabBar::tab:hover { color: $text; }
QTabBar::tab:selected { color: $text; border-bottom: 2px solid $accent; font-weight: 600; }
QTabWidget::pane { border: none; border-top: 1px solid $line; background: $panel; }

QListView, QTableView, QTreeView, QScrollArea, QTextBrowser { background: transparent;
    border: none; }
QScrollArea > QWidget > QWidget { background: transparent; }
QTableView, QListWidget { selection-background-color: $control; selection-color: $text; }
QListWidget::item { padding: 0 8px; border-radius: 6px; }
QListWidget::item:hover { background: $hover; }
QListWidget::item:selected { background: $control; color: $text; }
QTableView::item { padding: 0 4px; border: none; }
QTableView::item:hover { background: $hover; }
QTableView::item:selected { background: $control; color: $text; }
QHeaderView { background: $panel; border: none; }
QHeaderView::section { background: $panel; color: $text_3; border: none;
    border-bottom: 1px solid $line; padding: 4px 4px; font-weight: 500; }
QScrollBar:vertical { background: transparent; width: 10px; margin: 0; }
QScrollBar:horizontal { background: transparent; height: 10px; margin: 0; }
QScrollBar::handle { background: $line_strong; border-radius: 3px; margin: 2px; }
QScrollBar::handle:vertical { min-height: 32px; }
QScrollBar::handle:horizontal { min-width: 32px; }
QScrollBar::handle:hover { background: $control_edge; }
QScrollBar::add-line, QScrollBar::sub-line { width: 0; height: 0; }
QScrollBar::add-page, QScrollBar::sub-page { background: transparent; }

QProgressBar { background: $line_strong; border: none; border-radius: 2px; max-height: 4px;
    min-height: 4px; }
QProgressBar::chunk { background: $accent; border-radius: 2px; }

QSlider { background: transparent; min-height: 20px; }
QSlider::groove:horizontal { height: 2px; background: $control_edge; border-radius: 1px; }
QSlider::sub-page:horizontal { height: 2px; background: $accent; border-radius: 1px; }
QSlider::handle:horizontal { width: 12px; height: 12px; margin: -5px 0; border-radius: 6px;
    background: $text; }
QWidget[kind="osd"] QSlider::handle:horizontal { background: $osd_text; }
QSlider::handle:horizontal:disabled, QWidget[kind="osd"] QSlider::handle:horizontal:disabled {
    background: $text_off; }
QSlider::groove:horizontal:disabled, QSlider::sub-page:horizontal:disabled {
    background: $line_strong; }
QSplitter::handle { background: $line; }
QDialog, QMessageBox { background: $panel; }
QDialog QPushButton, QMessageBox QPushButton { padding: 0 20px; }
"""
)


def generate() -> str:
    """The style sheet of the current theme at the current text scale."""
    values = dict(theme.tokens())
    for token, value in values.items():
        if len(value) == 9:
            c = theme.color(token)
            values[token] = f"rgba({c.red()}, {c.green()}, {c.blue()}, {c.alpha()})"
    return _SHEET.substitute(
        values,
        pad=theme.px(12),
        pad_word=theme.px(11),
        h_button=theme.px(28) - 2,
        h_field=theme.px(28) - 2,
        h_tool=theme.px(32),
        h_tab=theme.px(36) - 2,
    )
