"""How matplotlib draws the picture of a study: colours, dashes, markers, and settings that give the same bytes."""

from contextlib import AbstractContextManager
from typing import Any

import matplotlib

INK, RULE = "#1c1f24", "#c9cdd3"
SERIES = ("#3a50e0", "#7a3208", "#22a172", "#e850c0", "#4e006e", "#bd8600")
DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1)), (0, (6, 1.5, 1.5, 1.5)), (0, (3, 1)), (0, (4, 1, 1, 1, 1, 1)))
MARKERS = ("s", "^", "D", "v", "P", "X")
LINES = len(SERIES)  # arms in one picture, without the baseline
LINE = 50  # characters that fit a line of a picture

STYLE = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "text.parse_math": False,  # a $ in a name is a $
    "text.color": INK,
    "axes.facecolor": "none",
    "axes.edgecolor": RULE,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.useoffset": False,
    "grid.color": RULE,
    "grid.linewidth": 0.5,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "svg.fonttype": "none",
    "svg.hashsalt": "bnbench",  # so that the same picture gives the same bytes
}


def style() -> AbstractContextManager[None]:
    """Settings to draw and render with. They override the user's own matplotlib settings."""
    settings: Any = {**matplotlib.rcParamsDefault, **STYLE}
    return matplotlib.rc_context({key: settings[key] for key in settings if not key.startswith("backend")})


def drawn(label: str, note: str = "", room: int = LINE) -> str:
    """The label of an arm for a picture: shortened to `room`, with only characters that the font has."""
    label = "".join(character if " " <= character <= "~" else "?" for character in label)
    half = max(6, (room - len(note) - 1) // 2)
    return (label if len(label) <= 2 * half + 1 else f"{label[:half]}…{label[-half:]}") + note
