"""Outlines of commands: what help, shell completion and usage errors need, read from a file without torch.

A command's options come from the tables of models, optimizers, attacks ..., whose modules import torch.
``scripts/write_outlines`` writes down what they are; the command itself is imported when it is to run.
"""

import functools
import importlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import click.types

from foolscope.cli.groups import Group, GroupedCommand, GroupedOption

__all__ = ["OUTLINES", "command_named", "outlines_of"]

OUTLINES = Path(__file__).with_name("outlines.json")
"""The outlines of all commands, and once those of the options that make a recipe."""

Outline = Mapping[str, Any]

_RECIPE = "recipe_"
"""The names of the options that make a recipe begin with this."""
_DEFAULTS = {
    "group": "Options",
    "type": {"param_type": "String", "name": "text"},
    "required": False,
    "multiple": False,
    "flag": {},
}
"""What an outline does not say of a parameter."""


def outlines_of(commands: Mapping[str, click.Command]) -> dict[str, Any]:
    """Describe commands in words and numbers that JSON has."""
    recipe: dict[str, Outline] = {}
    outlines = {name: _outline_of(command, recipe) for name, command in commands.items()}
    return {"commands": outlines, "recipe": list(recipe.values())}


def _outline_of(command: click.Command, recipe: dict[str, Outline]) -> dict[str, Any]:
    outline: dict[str, Any] = {"help": command.help, "epilog": command.epilog}
    if isinstance(command, click.Group):
        return {
            **outline,
            "commands": {name: _outline_of(each, recipe) for name, each in command.commands.items()},
        }
    context = click.Context(command)
    parameters = {each.name or "": _outline_of_parameter(each, context) for each in command.params}
    shared = {name: each for name, each in parameters.items() if name.startswith(_RECIPE)}
    recipe |= shared
    own = [each for name, each in parameters.items() if name not in shared]
    return {**outline, "takes_recipe": bool(shared), "parameters": own}


def _outline_of_parameter(parameter: click.Parameter, context: click.Context) -> dict[str, Any]:
    facts = {"type": parameter.to_info_dict()["type"], "required": parameter.required}
    if isinstance(parameter, click.Option):
        facts |= {"multiple": parameter.multiple, "flag": _flag(parameter)}
        facts |= {"group": parameter.group} if isinstance(parameter, GroupedOption) else {}
        facts |= {"row": parameter.get_help_record(context)}
    else:
        facts |= {"metavar": parameter.metavar}
    told = {name: value for name, value in facts.items() if value != _DEFAULTS.get(name, ...)}
    return {"names": [*parameter.opts, parameter.name], **told}


def _flag(option: click.Option) -> dict[str, Any]:
    """Say whether an option takes a value: always, never, or if one follows."""
    if option.is_flag:
        return {"is_flag": True}
    takes_none = isinstance(option.flag_value, str)
    return {"is_flag": False, "flag_value": option.flag_value} if takes_none else {}


def command_named(name: str) -> click.Command:
    """Return a command that has read its outline only; a command without an outline is imported."""
    outlines = _outlines()
    if name not in outlines["commands"]:
        return _real(name)
    return _command((name,), outlines["commands"][name], outlines["recipe"])


@functools.cache
def _outlines() -> dict[str, Any]:
    return dict(json.loads(OUTLINES.read_text(encoding="utf-8")))


def _real(name: str) -> click.Command:
    command: click.Command = importlib.import_module(f"foolscope.cli.{name}").command
    return command


def _command(path: Sequence[str], outline: Outline, recipe: Sequence[Outline]) -> click.Command:
    words = {"name": path[-1], "help": outline["help"], "epilog": outline["epilog"]}
    if "commands" in outline:
        parts = outline["commands"]
        return Group(**words, commands={name: _command((*path, name), parts[name], recipe) for name in parts})
    outlines = [*outline["parameters"], *(recipe if outline["takes_recipe"] else ())]
    return _Outlined(path, **words, params=[_parameter(each) for each in outlines])


class _Outlined(GroupedCommand):
    """A command that knows its options, and gives way to the real one when they are right."""

    def __init__(self, path: Sequence[str], **attributes: Any) -> None:
        super().__init__(**attributes)
        self._path = path

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Print the help, or refuse what is wrong; else parse the arguments again with the real command."""
        given = list(args)
        try:
            context = super().make_context(info_name, args, parent, **extra)
        except click.NoSuchOption as error:
            if not _is_mentioned(error.option_name):
                raise
        else:
            if context.resilient_parsing:  # for shell completion
                return context
        command, *rest = self._path
        real = _real(command)
        for name in rest:
            assert isinstance(real, click.Group)
            real = real.commands[name]
        return real.make_context(info_name, given, parent, **extra)


def _is_mentioned(option: str) -> bool:
    """Whether the code knows a word that its outlines do not: the field of a model just added, perhaps."""
    word = option.lstrip("-").replace("-", "_").encode()
    return any(word in path.read_bytes() for path in Path(__file__).parents[1].rglob("*.py"))


class _Option(GroupedOption):
    """An option that was told its row of the help."""

    def __init__(self, *, row: tuple[str, str], group: str, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.group = group
        self._row = row

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        """Return what stands left and right in the help."""
        return self._row


def _parameter(outline: Outline) -> click.Parameter:
    facts = {**_DEFAULTS, **outline}
    common = {"type": _type(facts["type"]), "required": facts["required"]}
    if "row" not in facts:
        return click.Argument([facts["names"][-1]], metavar=facts["metavar"], **common)
    return _Option(
        row=tuple(facts["row"]),
        group=facts["group"],
        param_decls=facts["names"],
        multiple=facts["multiple"],
        **facts["flag"],
        **common,
    )


def _type(facts: Mapping[str, Any]) -> Any:
    """Return a type of click's from what ``to_info_dict`` says of it."""
    attributes = {name: value for name, value in facts.items() if name not in ("param_type", "name")}
    kind = facts["param_type"]
    return (getattr(click.types, f"{kind}ParamType", None) or getattr(click, kind))(**attributes)
