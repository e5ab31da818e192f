"""Command groups that name their commands when one is unknown."""

import click

from foolscope.core.errors import did_you_mean

__all__ = ["Group"]


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
