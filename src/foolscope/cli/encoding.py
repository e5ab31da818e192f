"""What to write where an output cannot hold a character, such as a pipe that takes ASCII alone."""

import codecs
import sys

__all__ = ["replace_unwritable"]

_SUBSTITUTES = {
    "\N{MINUS SIGN}": "-",
    "\N{EN DASH}": "-",
    "\N{BOX DRAWINGS LIGHT HORIZONTAL}": "-",
    "\N{HORIZONTAL ELLIPSIS}": "...",
    "\N{NO-BREAK SPACE}": " ",
    "\N{MULTIPLICATION SIGN}": "x",
    "\N{MIDDLE DOT}": "*",
    "\N{PLUS-MINUS SIGN}": "+/-",
    "\N{LESS-THAN OR EQUAL TO}": "<=",
    "\N{GREATER-THAN OR EQUAL TO}": ">=",
    "\N{RIGHTWARDS ARROW}": "->",
    "\N{GREEK SMALL LETTER EPSILON}": "eps",
    "\N{PARTIAL DIFFERENTIAL}": "d",
    "\N{DOUBLE VERTICAL LINE}": "|",
    "\N{INFINITY}": "inf",
}


def replace_unwritable() -> None:
    """Let standard output and standard error replace what their encoding lacks instead of failing."""
    codecs.register_error("foolscope", _substitute)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="foolscope")


def _substitute(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    lacking = error.object[error.start : error.end]
    return "".join(_SUBSTITUTES.get(character, "?") for character in lacking), error.end
