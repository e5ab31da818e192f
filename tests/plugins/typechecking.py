"""The checker that ``make check`` puts on every annotated function.

Beartype, told to take int for float, as static checkers do (PEP 484).
"""

from beartype import BeartypeConf, beartype

_beartype = beartype(conf=BeartypeConf(is_pep484_tower=True))
_checked = {}


def checked(function):
    """Check the arguments of calls; what is checked for a function within a function is compiled once.

    Jaxtyping hands over not the function itself but an empty one with its signature. Where a function is
    defined within another one, that happens at every call of the outer one, and compiling the check anew each
    time took a third of the time of every training step.
    """
    if "<locals>" not in function.__qualname__ or function.__code__.co_filename != "<string>":
        return _beartype(function)
    key = function.__module__, function.__qualname__, function.__code__.co_varnames
    annotations, check = _checked.get(key, (None, None))
    if annotations != function.__annotations__:
        check = _beartype(function)
        _checked[key] = dict(function.__annotations__), check
    return check
