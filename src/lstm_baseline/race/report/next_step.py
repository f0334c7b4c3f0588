"""What to do after a race: the last line of the terminal, and one of the report's first."""

from lstm_baseline.plots.formats import printable, seeds, the
from lstm_baseline.race.outcomes import RaceOutcome
from lstm_baseline.race.report import words


def next_step(race: RaceOutcome) -> str:
    """Return what to do after a race in one line: for what is undecided, at an edge, or failed."""
    parts = [*_failed(race), *_longer(race), *_wider(race), *_more_seeds(race)]
    return f"Next: {'; '.join(parts)}." if parts else ""


def _failed(race: RaceOutcome) -> list[str]:
    found = [
        (task, contestant, seed)
        for task in race.tasks
        for contestant in task.contestants
        for seed in contestant.failures
    ]
    if not found:
        return []
    task, contestant, seed = found[0]
    others = f" (one of {len(found)})" if len(found) > 1 else ""
    return [
        f"look at why {printable(contestant.model)} failed on {printable(task.title)} with "
        f"{printable(seed.spec.title)}{others}: {printable(seed.result.reason)}"
    ]


def _longer(race: RaceOutcome) -> list[str]:
    titles = [
        task.title
        for task in race.tasks
        if any(2 * each.num_still_improved > len(each.seeds) for each in task.contestants)
    ]
    if not titles:
        return []
    on = words.some(titles, len(race.tasks))
    return [f"train longer on {on}, where most runs of a contestant still improved"]


def _wider(race: RaceOutcome) -> list[str]:
    found = [
        (task, contestant, text)
        for task in race.tasks
        for contestant in task.contestants
        if (text := words.edges(race.plan, contestant))
    ]
    if not found:
        return []
    task, contestant, text = found[0]
    others = f" (one of {len(found)})" if len(found) > 1 else ""
    return [
        f"widen the search space: on {printable(task.title)} {the(contestant.model)} took "
        f"{text}, at its edge{others}"
    ]


def _more_seeds(race: RaceOutcome) -> list[str]:
    plan = race.plan
    if plan.seeds < 2:
        return ["give at least two seeds: --seeds 10, say"] if race.duels else []
    if (short := plan.shortage()) is not None:
        return [f"hold a race of {seeds(short.needed_seeds)}: fewer can decide nothing"]
    needed = [
        (max(number, plan.seeds), task.title)
        for duel in race.duels
        for task in duel.tasks
        if task.verdict == "undecided" and task.evidence is not None
        if (number := task.evidence.seeds_needed) is not None and number <= words.MOST_SEEDS
    ]
    if not needed:
        return []
    least: dict[str, int] = {}
    for number, title in sorted(needed):
        least.setdefault(title, number)
    first, *others = least.items()
    title, number = first
    more = "".join(f", about {n} {printable(each)}" for each, n in others[: words.MOST_NAMED - 1])
    return [
        f"hold a new race on fresh seeds (--seeds {number} --first-seed {plan.final_seeds.stop}): "
        f"about {number} would probably decide {printable(title)}{more}"
    ]
