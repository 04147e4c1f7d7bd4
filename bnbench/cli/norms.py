"""`bnbench norms new` and `test`."""

from pathlib import Path
from typing import Annotated

import typer

from bnbench.cli.app import app
from bnbench.errors import CheckFailed, ConfigError
from bnbench.signals import stop_at_once

norms_app = typer.Typer(no_args_is_help=True, help="Write a norm of your own, and test it.")
app.add_typer(norms_app, name="norms")


@norms_app.command()
def new(name: Annotated[str, typer.Argument(metavar="NAME", hidden=True)]) -> None:
    """Write NAME.py: a working norm that you can change.

    \b
    Examples:
      bnbench norms new my_norm
    """
    from bnbench.console import clean
    from bnbench.plugins.template import template

    text, path = template(name), Path(f"{name}.py")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigError(f"{path}: exists already; choose another name") from None
    typer.echo(clean(f"{path}: a norm to change. Test it: bnbench norms test {path}"))


@norms_app.command(name="test")
def test_norms(
    file: Annotated[Path, typer.Argument(metavar="FILE", hidden=True)],
    options: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set an option of the norm; repeatable.")
    ] = None,
) -> None:
    """Test the norms in FILE (Python): does each keep the promises of every norm?

    The tests use vectors and images. The exit code is 1 if a promise is not kept,
    and 2 if FILE cannot be used.

    \b
    Examples:
      bnbench norms test my_norm.py
      bnbench norms test my_norm.py --set eps=1e-3
    """
    with stop_at_once():
        from bnbench.config.load import parse_override
        from bnbench.console import clean
        from bnbench.plugins.contract import held

    failed = 0
    for kept, line in held(file, dict(map(parse_override, options or []))):
        failed += not kept
        typer.echo(clean(line))
    if failed:
        raise CheckFailed(f"{file}: not every promise is kept")
