"""``foolscope completion``: shell completion, by click."""

import click
from click.shell_completion import get_completion_class

_EXAMPLES = """\b
Examples:
  foolscope completion bash >> ~/.bashrc
  foolscope completion zsh  >> ~/.zshrc
  foolscope completion fish >  ~/.config/fish/completions/foolscope.fish
"""


@click.command(epilog=_EXAMPLES)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]), metavar="bash|zsh|fish")
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell."""
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(ctx.find_root().command, {}, "foolscope", "_FOOLSCOPE_COMPLETE").source())
