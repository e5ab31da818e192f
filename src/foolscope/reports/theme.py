"""The colors of reports, light and dark, in one table that both the page and the figures read."""

__all__ = ["COLORS", "SERIES", "dark_variables", "light", "light_variables"]

COLORS: dict[str, tuple[str, str]] = {
    "paper": ("#ffffff", "#14171b"),
    "raised": ("#f5f6f8", "#1c2026"),
    "ink": ("#1a1d22", "#e4e7eb"),
    "muted": ("#59616c", "#a0a8b3"),
    "rule": ("#d3d8de", "#383e47"),
    "faint": ("#e8ebee", "#272c33"),
    "accent": ("#0a5c9e", "#7ab8f2"),
    # outcomes
    "good": ("#00735a", "#4fcfa5"),
    "bad": ("#b23f06", "#ff9566"),
    "caution": ("#7f5d00", "#e3b94a"),
    "quiet": ("#56606c", "#a9b2bd"),
    "odd": ("#84307c", "#e094d8"),
    # series: Okabe and Ito's set (2008), darkened for white paper and lightened for dark
    "series-1": ("#0068ab", "#5fb2f2"),
    "series-2": ("#c9510c", "#ff8d55"),
    "series-3": ("#008765", "#3ecb9c"),
    "series-4": ("#9a4c95", "#dd92d6"),
    "series-5": ("#a37100", "#e6b93f"),
    "series-6": ("#3a97d1", "#a3d8fa"),
    "series-7": ("#5d656f", "#b2bac4"),
    "series-8": ("#8a2253", "#ee7d9d"),
}
"""Name -> (light, dark). The light values all differ: figures are drawn in them, then made variables."""

SERIES = tuple(name for name in COLORS if name.startswith("series-"))


def light(name: str) -> str:
    """Return a color's light value."""
    return COLORS[name][0]


def light_variables() -> str:
    """Write the light colors as CSS declarations."""
    return _declarations(0)


def dark_variables() -> str:
    """Write the dark colors as CSS declarations."""
    return _declarations(1)


def _declarations(position: int) -> str:
    return " ".join(f"--{name}: {values[position]};" for name, values in COLORS.items())
