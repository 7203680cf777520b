"""The ``gradbench`` command: words and flags; exceptions become exit codes here."""

import importlib
import signal
import sys
from typing import Any, ClassVar

import click

from gradbench import __version__
from gradbench.cli.streams import lasting
from gradbench.errors import GradbenchError

INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it; of other signals that ask to end, too


class _Commands(click.Group):
    """Commands that are imported when they are called, so that --help stays fast."""

    summaries: ClassVar[dict[str, str]] = {
        "choose": "Choose a sampler for a model: a race within minutes, with proof.",
        "run": "Run a benchmark and report the cost of one effective sample.",
        "show": "Print the table of a finished or interrupted run again.",
        "report": "Make a page of results, with pictures: one file that needs no network.",
        "judge": "Judge chains made elsewhere as a run judges its own.",
        "compare": "Set results side by side: what got more expensive, and how sure is that?",
        "check": "Run until each sampler is judged against a baseline: the gate for CI.",
        "ab": "Run two interpreters interleaved on this machine, and judge time as well.",
        "selftest": "Try the gate on this machine: false alarms, and what it catches.",
        "baseline": "Save runs as baselines, which later ones are compared with.",
        "history": "Keep what each commit or release costs, and see steps in its course.",
        "reference": "Make a model's reference moments by a long, checked run.",
        "gradients": "Compare ways to a log-density's gradient: cost, growth and error.",
        "check-model": "Check a model of your own, and say which samplers suit it.",
        "check-sampler": "Check a sampler of your own: its promises, and its moments.",
        "list": "List the samplers, models and configs there are.",
        "schema": "Print the JSON Schema of a config, for editors.",
    }

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.summaries]  # ``list`` is a module here, once it is imported

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.summaries:
            return None
        module = importlib.import_module(f"gradbench.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([*self.summaries.items()])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="gradbench %(version)s")
def gradbench() -> None:
    """Which MCMC sampler should I use, and what does one effective sample cost?

    Exit codes: 0 done; 1 a cell failed, or its ESS is contradicted by its errors;
    2 a mistake in the config or the command line; 3 a regression is proven; 4 a cell
    is missing, broken or not comparable; 5 inconclusive, under --strict; 130 interrupted,
    with everything that was finished kept.
    """


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line and end the process with its exit code, read or not."""
    with lasting():
        try:
            code = gradbench.main(arguments, prog_name="gradbench", standalone_mode=False)
            sys.stdout.flush()
        except click.ClickException as error:
            error.show()
            code = error.exit_code
        except GradbenchError as error:
            click.echo(f"gradbench: {error}", err=True)
            code = error.exit_code
        except (click.Abort, KeyboardInterrupt):
            code = INTERRUPTED
    sys.exit(code or 0)


def finish_on_signals() -> None:
    """Let every signal that asks to end do what Ctrl-C does: what is finished is kept.

    One that is ignored stays so: ``nohup`` asks for it.
    """
    for asked in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(asked) is not signal.SIG_IGN:
            signal.signal(asked, signal.default_int_handler)
