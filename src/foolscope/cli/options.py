"""Options that several commands share, and one flag for every field of a recipe."""

import functools
import os
import shlex
import sys
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from pydantic.fields import FieldInfo

from foolscope.cli.groups import GroupedOption
from foolscope.core.settings import plain_words
from foolscope.core.values import parse_value
from foolscope.experiments.recipe import (
    COMPONENTS,
    GROUPS,
    LISTS,
    PLAIN_FIELDS,
    Recipe,
    with_values,
)
from foolscope.experiments.recipe_files import built_in_recipes, read_recipe
from foolscope.experiments.running.executors import EXECUTORS
from foolscope.experiments.running.session import Session

__all__ = [
    "command_line",
    "data_option",
    "json_option",
    "recipe_of",
    "recipe_options",
    "report_option",
    "session_options",
    "store_flag",
    "store_option",
    "training_options",
]

_DEFAULT_STORE = Path("foolscope-runs")
_TRUTH = "true|false"  # a flag of such a field means true where neither follows
_LONGEST_METAVAR = 70  # of a flag's choices, which are not broken into lines; more are listed in its help

Function = TypeVar("Function", bound=Callable[..., Any])


def _recipe_option(name: str, group: str, description: str, metavar: str) -> GroupedOption:
    bare: dict[str, Any] = {"is_flag": False, "flag_value": "true"} if metavar == _TRUTH else {}
    option = GroupedOption(
        [f"--{name.replace('_', '-')}", f"recipe_{name}"],
        default=None,
        help=description,
        metavar=f"[{metavar}]" if bare else metavar,
        **bare,
    )
    option.group = group
    return option


def _list_option(name: str, group: str, description: str, metavar: str) -> GroupedOption:
    """Return a flag whose values are joined by +, so that it may be given once for each entry."""
    option = GroupedOption(
        [f"--{name.replace('_', '-')}", f"recipe_{name}"],
        multiple=True,
        callback=lambda context, parameter, values: "+".join(values) if values else None,
        help=description,
        metavar=metavar,
    )
    option.group = group
    return option


def _metavar(fields: Sequence[FieldInfo]) -> str:
    """Name what a flag takes: all choices that any of its fields has."""
    names: dict[Any, str] = {int: "N", float: "X", bool: _TRUTH}
    found: dict[str, None] = {}
    for field in fields:
        choices = typing.get_args(field.annotation)
        are_words = choices and all(isinstance(choice, str) for choice in choices)
        found |= dict.fromkeys(choices if are_words else (names.get(field.annotation, "VALUE"),))
    return "VALUE" if "VALUE" in found else "|".join(found)


def _default(field: FieldInfo) -> str:
    default = field.get_default()
    return "" if field.is_required() or default is None or default == () else plain_words(default)


def _describe(fields: Mapping[str, FieldInfo], components: int = 1) -> str:
    """Describe a flag: each meaning that it has for its owners once, with their defaults and choices."""
    meanings: dict[tuple[str, str], dict[str, list[str]]] = {}
    for owner, field in fields.items():
        meaning = meanings.setdefault((field.description or "", _metavar([field])), {})
        meaning.setdefault(_default(field), []).append(owner)
    said = []
    for (description, metavar), defaults in meanings.items():
        is_told = metavar == _metavar(list(fields.values())) or all(
            word in description for word in metavar.split("|")
        )
        choices = f": {metavar}" if "|" in metavar and not is_told else ""
        by_owner = len(defaults) > 1 and all(defaults)
        known = [
            f"{default} ({', '.join(own)})" if by_owner else default for default, own in defaults.items()
        ]
        default = ", ".join(filter(None, known))
        owners = [owner for own in defaults.values() for owner in own]
        only = "" if by_owner or len(owners) == components else f" ({', '.join(owners)})"
        said.append(f"{description}{choices}{f'  [default: {default}]' if default else ''}{only}")
    return "; ".join(said)


def _all_options() -> list[GroupedOption]:
    options: dict[str, GroupedOption] = {}
    for kind, registered in COMPONENTS.items():
        description = Recipe.model_fields[kind].description or ""
        names = "|".join(registered)
        if len(names) > _LONGEST_METAVAR:
            names, description = "NAME", f"{description}: {', '.join(registered)}"
        options[kind] = _recipe_option(kind, kind.capitalize(), description, names)
        owned: dict[str, dict[str, FieldInfo]] = {}
        for name, settings in registered.items():
            for leaf, field in settings.model_fields.items():
                owned.setdefault(leaf, {})[name] = field
        for leaf, fields in owned.items():
            if leaf != "name" and leaf not in options:
                description, metavar = _describe(fields, len(registered)), _metavar(list(fields.values()))
                options[leaf] = _recipe_option(leaf, kind.capitalize(), description, metavar)
    for kind, entries in LISTS.items():
        description = f"{Recipe.model_fields[kind].description}. {entries.choices}"
        options[kind] = _list_option(kind, kind.replace("_", " ").capitalize(), description, "ENTRY+ENTRY")
    for group, settings in GROUPS.items():
        for leaf, field in settings.model_fields.items():
            options[leaf] = _recipe_option(
                leaf, group.capitalize(), _describe({leaf: field}), _metavar([field])
            )
    for leaf in PLAIN_FIELDS:
        field = Recipe.model_fields[leaf]
        make = _list_option if field.get_default() == () else _recipe_option
        options[leaf] = make(leaf, "Training", _describe({leaf: field}), _metavar([field]))
    return list(options.values())


def recipe_options(function: Function) -> Function:
    """Add ``--recipe`` and a flag for every field of a recipe; :func:`recipe_of` gathers them."""
    for option in reversed(_all_options()):
        _attach(function, option)
    return click.option(
        "--recipe",
        "recipe_file",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE|NAME",
        help="Start from a recipe in a TOML file, or from a built-in one "
        f"({', '.join(built_in_recipes())}); flags change single fields of it.",
    )(function)


def _attach(function: Callable[..., Any], option: click.Option) -> None:
    parameters = getattr(function, "__click_params__", None)
    if parameters is None:
        parameters = function.__click_params__ = []  # type: ignore[attr-defined]  # how click stores them
    parameters.append(option)


def recipe_of(flags: Mapping[str, Any], recipe_file: Path | None) -> Recipe:
    """Gather the recipe flags of a command into a recipe.

    Raises:
        RecipeError: the file or a flag is wrong.
    """
    base = Recipe() if recipe_file is None else read_recipe(recipe_file)
    given = {
        name.removeprefix("recipe_"): parse_value(value)
        for name, value in flags.items()
        if name.startswith("recipe_") and value is not None
    }
    path = given.pop("path", None)
    if path is not None and given.get("dataset") in ("folder", "npz"):
        given["dataset"] = {"name": given["dataset"], "path": str(path)}
    elif path is not None:
        given["path"] = str(path)
    return with_values(base, given)


def training_options(function: Function) -> Function:
    """Add where to work and who trains; the command gets ``session``."""
    function = click.option(
        "--workers",
        type=click.IntRange(1),
        metavar="N",
        help="Most packs at a time.  [default: the number of cores]",
    )(session_options(function))
    return click.option(
        "--executor",
        type=click.Choice(["auto", *EXECUTORS]),
        metavar="|".join(["auto", *EXECUTORS]),
        default="auto",
        show_default=True,
        help="Where packs train: in this process, in several, or on a Ray cluster.",
    )(function)


def session_options(function: Function) -> Function:
    """Add where to work: store, data folder, device; the command gets ``session``."""

    @functools.wraps(function)
    def with_session(
        *arguments: Any,
        store_folder: Path,
        data_dir: Path | None,
        device: str,
        executor: str = "auto",
        workers: int | None = None,
        **options: Any,
    ) -> Any:
        session = Session(store_folder, data_dir, device, executor, workers)
        return function(*arguments, session=session, **options)

    decorated = click.option(
        "--device", default="auto", show_default=True, help="Device: auto, cpu, cuda, cuda:1 …"
    )(with_session)
    return store_option(data_option(decorated))  # type: ignore[return-value]  # the command has one argument


def data_option(function: Function) -> Function:
    """Add where the data sets are."""
    return click.option(
        "--data-dir",
        type=click.Path(path_type=Path, file_okay=False),
        help="Folder of the data sets.  [default: $FOOLSCOPE_DATA, else ~/.cache/foolscope/data]",
    )(function)


def store_option(function: Function) -> Function:
    """Add where runs are kept."""
    return click.option(
        "--store",
        "store_folder",
        type=click.Path(path_type=Path, file_okay=False),
        default=_DEFAULT_STORE,
        envvar="FOOLSCOPE_STORE",
        show_default=True,
        help="Folder in which runs are kept; also $FOOLSCOPE_STORE.",
    )(function)


def json_option(function: Function) -> Function:
    """Add the choice of JSON instead of words."""
    return click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")(function)


def report_option(function: Function) -> Function:
    """Add where to write a page with figures."""
    return click.option(
        "--report",
        "page",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE.html",
        help="Also write a report with figures and tables to this file.",
    )(function)


def store_flag(folder: Path) -> str:
    """Return the flag that a suggested command needs to find this store: none where it is the default one."""
    default = Path(os.environ.get("FOOLSCOPE_STORE", _DEFAULT_STORE))
    return "" if folder == default else f" --store {shlex.quote(str(folder))}"


def command_line() -> str:
    """Return what the person typed, to be repeated."""
    return shlex.join(["foolscope", *sys.argv[1:]])
