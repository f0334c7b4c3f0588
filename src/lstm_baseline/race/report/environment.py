"""What a race was run with and what wrote its report, for the page and for the files beside it."""

from pathlib import Path
from typing import NamedTuple

from lstm_baseline.engine.storage import read_json
from lstm_baseline.installation import Installation, describe_installation, processor_name
from lstm_baseline.race.plan import PLAN


class Environment(NamedTuple):
    """Software and machine of a race."""

    made_with: dict[str, str]
    """What the runs were made with, as the plan's file has it; empty without that file."""
    here: Installation
    """What wrote the report. Runs may have been carried out on other machines."""
    processor: str
    """Name of the processor of the machine that wrote the report."""
    command: str
    """Command that reproduces the race."""

    @property
    def version(self) -> str:
        """Version of this package that the runs were made with."""
        return self.made_with.get("lstm-baseline", self.here.version)

    def facts(self) -> dict[str, object]:
        """Return everything but the command, each with a name."""
        here = self.here
        native = "" if here.instruction_set is None else f", {here.instruction_set}"
        return {
            "runs made with": ", ".join(f"{k} {v}" for k, v in self.made_with.items()) or "–",
            "report written with": f"lstm-baseline {here.version}",
            "engine": f"{here.engine}{native}",
            "Python": here.python,
            "NumPy": here.numpy,
            "platform": here.platform,
            "processor": self.processor,
            "CPU cores": here.cores,
        }


def describe_environment(folder: Path, command: str) -> Environment:
    """Return the software and the machine of the race in a folder."""
    made_with: dict[str, str] = {}
    if (folder / PLAN).exists():
        made_with = dict(read_json(folder / PLAN)["made_with"])
    return Environment(made_with, describe_installation(), processor_name(), command)
