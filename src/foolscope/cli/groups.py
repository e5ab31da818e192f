"""Command groups that name their commands when one is unknown, and commands whose options come in groups."""

import click

from foolscope.core.errors import did_you_mean

__all__ = ["Group", "GroupedCommand", "GroupedOption"]


class Group(click.Group):
    """A group of commands."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which one may have been meant."""
        if args and not args[0].startswith("-") and args[0] not in self.list_commands(ctx):
            known = did_you_mean(args[0], self.list_commands(ctx))
            raise click.UsageError(f"unknown command {args[0]!r}. {known}", ctx)
        return super().resolve_command(ctx, args)


class GroupedOption(click.Option):
    """An option that the help lists under a heading of its group."""

    group = "Options"


class GroupedCommand(click.Command):
    """A command whose help lists its options by group, the recipe's flags component by component."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one section of options per group."""
        groups: dict[str, list[tuple[str, str]]] = {"Options": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                group = parameter.group if isinstance(parameter, GroupedOption) else "Options"
                groups.setdefault(group, []).append(record)
        for group, records in groups.items():
            with formatter.section(group):
                formatter.write_dl(records)
