"""The rows of docs/corruptions.md as the table of corruptions has them."""

from foolscope.corruptions import CORRUPTIONS

__all__ = ["overview_rows", "parameter_rows"]

_SINGLE = {
    "gaussian-noise": "standard deviation",
    "shot-noise": "photons of a white pixel",
    "impulse-noise": "share of the values",
    "speckle-noise": "standard deviation where white",
    "zoom-blur": "factors",
    "gaussian-blur": "standard deviation",
    "brightness": "added to the value",
    "contrast": "factor",
    "pixelate": "pixels left per side, as a share",
    "jpeg-compression": "quality",
}


def overview_rows():
    return [f"| `{each.name}` | {each.kind} | {each.summary} |" for each in CORRUPTIONS.values()]


def parameter_rows():
    rows = []
    for each in CORRUPTIONS.values():
        small, large = ("; ".join(map(words, own)) for own in (each.small, each.large))
        rows.append(f"| `{each.name}` | {names(each)} | {small} | {large} |")
    return rows


def names(corruption):
    fields = getattr(corruption.small[0], "_fields", None)
    return _SINGLE[corruption.name] if fields is None else ", ".join(fields).replace("is_mud", "water or mud")


def words(parameters):
    if hasattr(parameters, "_fields"):
        return ", ".join(_word(each) for each in parameters)
    if isinstance(parameters, tuple):
        return f"1, {parameters[1]:g}, …, {parameters[-1]:g}"
    return _word(parameters)


def _word(value):
    if isinstance(value, bool):
        return "mud" if value else "water"
    return f"{value:.3g}"
