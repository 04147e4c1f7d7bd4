"""The application: the common options, and the handling of errors: a sentence and an exit code."""

import io
import os
import signal
import sys
import traceback
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from bnbench import __version__
from bnbench.errors import BnbenchError, ConfigError, Interrupted, RunError
from bnbench.signals import Stop, signal_name, stop_at_once


class _Commands(TyperGroup):
    """Turns every expected error into a sentence and an exit code; with `--debug` it prints the traceback first."""

    start = ExitStack()  # active until a command is invoked

    def main(self, *args: Any, **kwargs: Any) -> Any:
        _open_what_is_closed()
        try:
            with ExitStack() as self.start:
                self.start.enter_context(stop_at_once())  # typer would exit without a message
                return super().main(*args, **kwargs)
        except OSError as error:  # from --help and --version, which end before a command is invoked
            sys.exit(_explain(error))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.meta["words"] = list(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        self.start.close()
        try:
            return super().invoke(ctx)
        except (BnbenchError, OSError, KeyboardInterrupt) as error:
            if isinstance(error, BrokenPipeError):  # as in `| head`: the reader has enough, so this is not an error
                _drop_output()
                raise typer.Exit(141) from None  # 128 + SIGPIPE, as other programs do
            if ctx.params.get("debug"):
                traceback.print_exc()
            raise typer.Exit(_explain(error)) from None
        except Exception as error:
            from bnbench.cli.slips import sentence

            if (slip := sentence(error, ctx.meta["words"])) is None:
                raise
            raise typer.Exit(_explain(ConfigError(slip))) from None


def _open_what_is_closed() -> None:
    """Open a closed stream (`2>&-`) as the null device: libraries flush it, and a file could get its descriptor.

    Writing to a closed stdout stays an error: results that nobody gets are no success.
    """
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDONLY if name == "stdout" else os.O_RDWR)
            if null == descriptor:  # the lowest free descriptor; otherwise it is already in use
                os.set_inheritable(null, True)  # for worker processes
            setattr(sys, name, os.fdopen(null, mode))


def _drop_output() -> None:
    """Send what the streams still hold to the null device, so that flushing it at the end does not fail again.

    stderr keeps its device if it can be written: it has the message for the user.
    """
    with suppress(OSError):  # it may have no descriptor
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    try:
        sys.stderr.flush()
    except OSError:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def _explain(error: BaseException) -> int:
    """Print the error on stderr; return the exit code."""
    from bnbench.console import say

    if isinstance(error, KeyboardInterrupt):
        signum = error.signum if isinstance(error, Stop) else signal.SIGINT
        error = Interrupted(f"stopped by {signal_name(signum)}", exit_code=128 + signum)
    if isinstance(error, OSError):
        if error.filename is None:
            _drop_output()
        error = RunError(f"{error.filename or 'the output'} cannot be written or read: {error.strerror or error}")
    assert isinstance(error, BnbenchError)
    with suppress(OSError):  # stderr may be a full disk; the exit code still tells
        for line in str(error).split("\n"):
            say(f"bnbench: {line}")
    return error.exit_code


app = typer.Typer(cls=_Commands, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)
# Plain help, not rich's: it fits a terminal of 80 columns, and prints no types beside flags.

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        help="The folder of the datasets.",
        envvar="BNBENCH_DATA",
        show_default="your cache folder",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress, only results and errors.")]


def _version(value: bool) -> None:
    if value:
        typer.echo(f"bnbench {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks, as in: bnbench --debug run …")] = False,
) -> None:
    """What does a normalization layer do to training? Train on MNIST, then compare.

    \b
    Start here:
      bnbench run configs/mlp_bn.yaml configs/mlp_no_bn.yaml
      bnbench compare results/
      bnbench report results/
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # otherwise ± raises an error in some locales
