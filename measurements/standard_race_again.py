"""The published standard race, judged by the rule and the ladders of this version.

Run ``python measurements/standard_race_again.py``. It reads the final runs of ``results.csv``,
reads the plan beside it but for a key that the rule had then, and prints the verdict of today.
Nothing is trained. Of the runs the file has scores and not the models, so that how far the loss
fell is unknown; no run of this race is judged by it.
"""

import csv
import json
from pathlib import Path

from lstm_baseline.race.judge import judge
from lstm_baseline.race.outcomes import RaceOutcome
from lstm_baseline.race.plan import PLAN
from lstm_baseline.race.plan_file import plan_of, read_plan_file
from lstm_baseline.race.report import words
from lstm_baseline.runs.run import RunResult

FOLDER = Path(__file__).parent / "results" / "standard-race"


def judged_again(folder: Path = FOLDER) -> RaceOutcome:
    """Return the outcome of the published race by today's rule and ladders."""
    found = read_plan_file(folder)
    if not found.is_unchanged:
        raise SystemExit(f"{folder / PLAN} was changed: its hash is another one")
    rule = {key: value for key, value in found.config["verdict"].items() if key != "probability"}
    # Sweeps decide nothing.
    plan = plan_of(found.config | {"verdict": rule, "sweeps": []})
    with (folder / "results.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["stage"] == "final"]
    results = {(row["task_arguments"], row["contestant"], int(row["seed"])): row for row in rows}
    chosen = {
        (place, name): plan.settings for place in range(len(plan.tasks)) for name in plan.models
    }
    finals = []
    for spec in plan.finals(chosen):
        arguments = {k: v for k, v in spec.task.config().items() if k != "task"}
        row = results[json.dumps(arguments), spec.model, spec.seed]
        finals.append((spec, _result(row)))
    return judge(plan, finals=finals, trained=[[] for _ in plan.sweeps])


def _result(row: dict[str, str]) -> RunResult:
    numbers = {
        name: float(row[name]) if row[name] else None
        for name in ("score", "standard_error", "untrained_score", "validation_score")
    }
    return RunResult(
        status="finished" if row["status"] == "finished" else "failed",
        reason=row["reason"],
        best_step=int(row["best_step"]),
        seconds=float(row["seconds"]),
        num_params=int(row["parameters"]),
        **numbers,
    )


def main() -> None:
    """Print each contestant's runs that learned, and every verdict with its reasons."""
    race = judged_again()
    for task in race.tasks:
        best = task.best_heuristic
        learned = ", ".join(
            f"{each.model} {words.spread(each.score)} ({each.num_learned} of {len(each.seeds)})"
            for each in task.contestants
        )
        print(f"{task.title}: best heuristic {best.score if best else None:.4g}; {learned}")
    for duel in race.duels:
        print(f"\n{words.verdict(race.plan, duel)}\n{words.over_tasks(race.plan, duel)}")
        for comparison in duel.tasks:
            verdict = words.task_verdict(duel, comparison)
            print(
                f"- {comparison.title}: {verdict}: {words.task_reason(race.plan, duel, comparison)}"
            )


if __name__ == "__main__":
    main()
