"""The command line, assembled from its commands."""

from typing import Annotated

import typer

from lstm_baseline import __version__
from lstm_baseline.commands.bench import bench
from lstm_baseline.commands.board import board
from lstm_baseline.commands.compare import compare
from lstm_baseline.commands.convert import convert
from lstm_baseline.commands.demo import demo
from lstm_baseline.commands.generate import generate
from lstm_baseline.commands.info import info
from lstm_baseline.commands.init import init
from lstm_baseline.commands.predict import predict
from lstm_baseline.commands.reproduce import reproduce
from lstm_baseline.commands.tasks import list_tasks
from lstm_baseline.commands.terminal import PROGRAM, console, run
from lstm_baseline.commands.train import train
from lstm_baseline.commands.verify import verify

app = typer.Typer(
    name=PROGRAM,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def about(
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    """The LSTM baseline that a new recurrent architecture has to beat."""
    if version:
        console.print(__version__)
        raise typer.Exit


for command in (info, compare, verify, board, reproduce, init, train, predict, generate, convert):
    app.command()(command)
app.command("tasks")(list_tasks)
for command in (demo, bench):
    app.command()(command)


def main() -> None:
    """Run the command line; every error of use or of a run is one line on standard error."""
    run(app)
