"""The command line: arguments become calls of verbs, and the documents of their results are printed.

Commands are imported when they run, so that no help page and no usage error waits for torch.
"""

import os
import sys
from collections.abc import Sequence

import click
from click.shell_completion import CompletionItem

from foolscope.cli.encoding import replace_unwritable
from foolscope.cli.groups import Group
from foolscope.cli.outlines import command_named
from foolscope.core.errors import FoolscopeError
from foolscope.verbs import VERBS

__all__ = ["main"]

_EXAMPLES = """\b
Examples:
  foolscope study                          the first study, offline, in under a minute
  foolscope study --write my.toml          copy it, edit it, then: foolscope study my.toml
  foolscope train --model mlp --hidden 50 --epochs 10
  foolscope ablate --model mlp --vary batch_size=32,128,512 --seeds 5
  foolscope reproduce A2                   a published experiment, and what became of its claims
  foolscope data list
"""


class _LazyGroup(Group):
    """A group whose commands are imported when they run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        return command_named(cmd_name)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the names of commands without importing them."""
        names = [name for name in VERBS if name.startswith(incomplete)]
        items = [CompletionItem(name, help=VERBS[name].help) for name in names]
        return [*items, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.help) for name, verb in VERBS.items()])


def _version(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from importlib import metadata

        click.echo(f"foolscope {metadata.version('foolscope')}")
        ctx.exit()


@click.group(cls=_LazyGroup, epilog=_EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_version, help="Print the version."
)
def _group() -> None:
    """Executable studies of image classifiers: train, ablate, attack, report; verdicts carry error bars."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; a mistake of the person's is one line and exit code 2, Ctrl-C is 130."""
    replace_unwritable()
    try:
        status = _group.main(arguments, prog_name="foolscope", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
        sys.exit(status if isinstance(status, int) else 0)
    except FoolscopeError as error:
        _fail(str(error))
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else "")
        sys.exit(0)
    except click.ClickException as error:
        message = error.format_message()
        if isinstance(error, click.UsageError) and error.ctx is not None:
            stop = "" if message.endswith(("?", ".")) else "."
            message = f"{message}{stop} Try: {error.ctx.command_path} --help"
        _fail(message)
    except (KeyboardInterrupt, click.Abort) as error:
        what_next = str(error) or "the same command continues where it stopped"
        click.echo(f"foolscope: interrupted; {what_next}", err=True)
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output, such as head, has seen enough
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # or the interpreter complains at its end
        sys.exit(141)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _fail(f"{where}{error.strerror or error}")


def _fail(message: str) -> None:
    click.echo(f"foolscope: {' '.join(message.split())}", err=True)
    sys.exit(2)
