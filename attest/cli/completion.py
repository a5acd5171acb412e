"""`attest completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from attest.errors import EXIT_PASSED


@click.command(
    "completion",
    epilog="""\b
Examples:
  attest completion bash > ~/.local/share/bash-completion/completions/attest
  attest completion zsh > ~/.zfunc/_attest
  attest completion fish > ~/.config/fish/completions/attest.fish
""",
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> int:
    """Print the script that completes `attest` commands and options in SHELL."""
    completion = get_completion_class(shell)
    assert completion is not None  # noqa: S101 - click has all three
    root = ctx.find_root().command
    click.echo(completion(root, {}, "attest", "_ATTEST_COMPLETE").source())
    return EXIT_PASSED
