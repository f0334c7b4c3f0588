"""Draw text from a model of text."""

from pathlib import Path
from typing import Annotated

import typer

from lstm_baseline.commands.terminal import write_data


def generate(
    model: Annotated[Path, typer.Argument(help="The folder that train --text wrote.")],
    prompt: Annotated[str, typer.Option(help="Text to go on from.")] = "",
    length: Annotated[int, typer.Option(min=0, help="Characters to draw.")] = 500,
    temperature: Annotated[
        float, typer.Option(help="Below 1 more probable text, above 1 less; 0: the most probable.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draws.")] = 0,
) -> None:
    """Write text as a trained model would go on, character after character."""
    import numpy as np

    from lstm_baseline.usage.text import TextModel

    drawn = TextModel(model).generate(prompt, length, temperature, np.random.default_rng(seed))
    write_data("".join([prompt, *drawn, "\n"]))
