"""What the page opens with: badges, conditions, and the table of tasks × contestants."""

import math
import re
from dataclasses import replace
from importlib import resources

import pytest

from lstm_baseline.race.race_statistics import Interval
from lstm_baseline.race.report import marks, words
from lstm_baseline.race.report.standing import matrix, standings
from lstm_baseline.race.verdict import VerdictRule
from tests.support.figure_races import HOSTILE, mixed_race, race, runs_about, tasks_named
from tests.support.races import CONSTANT, ORACLE_ERROR, LadderTask, run


@pytest.fixture(scope="module")
def mixed():
    return mixed_race()


def checks_of(standing, title):
    (task,) = (task for task in standing.tasks if task.title == title)
    return [f"{check.symbol} {check.text}" for check in task.checks]


def changed(outcome, **evidence):
    """Return the conditions of the first task of a race, with other numbers."""
    duel, plan = outcome.duels[0], outcome.plan
    found = replace(duel.tasks[0].evidence, **evidence)
    task = replace(duel.tasks[0], evidence=found, verdict=plan.rule.verdict(found))
    checks = marks.checks(plan, duel, task, outcome.tasks[0])
    return [f"{check.symbol} {check.text}" for check in checks]


class TestStandings:
    def test_one_for_each_challenger(self, mixed):
        relational, gru = standings(mixed)
        assert (relational.challenger, relational.baseline) == ("relational", "lstm")
        assert relational.mark == ("mixed", "↕", "mixed")
        assert gru.challenger == "gru"

    def test_counts_name_the_tasks(self, mixed):
        relational, _ = standings(mixed)
        assert [(c.mark.word, c.number, c.names) for c in relational.counts] == [
            ("better", 1, "won"),
            ("worse", 2, "lost, missed"),
            ("undecided", 1, "even"),
            ("not compared", 1, "failed"),
        ]

    def test_many_tasks_are_counted_not_listed(self):
        titles = [f"task {k}" for k in range(20)]
        runs = runs_about(0.3, 0.3, 0.3, num_seeds=2)
        found = standings(race([(task, runs) for task in tasks_named(*titles)]))[0]
        (count,) = found.counts
        assert count.number == 20
        assert count.names == "task 0, task 1, task 2, task 3, 16 more"

    def test_verdicts_differ_in_symbol_and_word(self, mixed):
        duel = mixed.duels[0]
        found = [
            marks.race_mark(replace(duel, verdict=verdict))
            for verdict in (
                *("challenger wins", "challenger ahead", "equivalent", "mixed", "open"),
                *("baseline ahead", "baseline wins"),
            )
        ]
        assert [mark.word for mark in found] == [
            *("wins", "ahead", "equivalent", "mixed", "open", "behind", "loses")
        ]
        assert len({mark.symbol for mark in found}) == 7
        assert len({mark.kind for mark in found}) == 7
        nothing = marks.race_mark(replace(duel, tasks=duel.tasks[-1:], verdict="open"))
        assert nothing.word == "no verdict"
        css = (resources.files("lstm_baseline.race.report") / "templates" / "report.css").read_text(
            encoding="utf-8"
        )
        for mark in (*found, nothing, *map(marks.task_mark, duel.tasks)):
            assert re.search(
                rf"^[^{{]*\.{mark.kind}\b[^{{]*\{{[^}}]*color", css, flags=re.MULTILINE
            )

    def test_values_stand_against_their_limits(self, mixed):
        relational, _ = standings(mixed)
        for title in ("won", "lost"):
            p, interval = checks_of(relational, title)
            assert p.startswith("✓ p 0.0")
            assert p.endswith(" ≤ 0.05")
            assert interval.startswith("✓ nearer end of the interval 0.3")
            assert interval.endswith(" > 0.02")
        assert checks_of(relational, "failed") == [
            "✗ runs that learned: relational RNN 0 of 10, LSTM 0 of 10; 6 needed"
        ]

    def test_an_open_task_has_all_its_conditions(self, mixed):
        common = {"adjusted_p_value": 0.2, "adjusted_equivalence_p_value": 0.3}
        assert changed(mixed, difference=Interval(0.05, -0.01, 0.11), **common) == [
            "✗ p 0.2 > 0.05",
            "✗ nearer end of the interval −0.010 ≤ 0.02",
            "✗ within ±0.02: p 0.3 > 0.05",
        ]
        # Of the baseline, where it is the one ahead.
        found = changed(mixed, difference=Interval(-0.05, -0.11, -0.012), **common)
        assert found[1] == "✗ nearer end of the interval 0.012 ≤ 0.02"
        unbounded = changed(mixed, difference=Interval(0.05, -math.inf, math.inf), **common)
        assert unbounded[1] == "✗ the interval is unbounded, the margin 0.02"

    def test_equivalence_rests_on_its_own_test(self, mixed):
        found = changed(
            mixed,
            difference=Interval(0.001, -0.01, 0.012),
            adjusted_p_value=0.9,
            adjusted_equivalence_p_value=0.00002,
        )
        assert found == ["✓ within ±0.02: p < 0.0001 ≤ 0.05"]

    def test_without_a_margin_there_is_no_equivalence(self):
        found = race(
            [(LadderTask(), runs_about(0.8, 0.8, 0.8))],
            rule=VerdictRule(num_resamples=200, margin=0),
        )
        p, interval = checks_of(standings(found)[0], "made-up")
        assert p.startswith("✗ p ")
        assert interval.startswith("✗ nearer end of the interval −")
        assert interval.endswith(" ≤ 0")

    def test_a_value_next_to_its_limit_does_not_look_like_it(self, mixed):
        found = changed(
            mixed,
            difference=Interval(0.05, 0.020001, 0.1),
            adjusted_p_value=0.05004,
            adjusted_equivalence_p_value=0.5,
        )
        assert found[:2] == ["✗ p 0.05004 > 0.05", "✓ nearer end of the interval 0.020001 > 0.02"]

    def test_what_is_in_the_way_of_a_comparison(self, mixed):
        runs = runs_about(0.8, 0.9, 0.7, num_seeds=1)
        for found in standings(race([(LadderTask(), runs)])):
            assert checks_of(found, "made-up") == ["✗ 1 paired seed, 2 needed"]
            assert found.mark.word == "no verdict"
        duel = mixed.duels[0]
        full = replace(duel.tasks[0], evidence=None, barrier="no ceiling")
        (check,) = marks.checks(mixed.plan, duel, full, mixed.tasks[0])
        assert check == (False, "its best heuristic is perfect already")

    def test_many_conditions_are_folded(self):
        runs = runs_about(0.3, 0.3, 0.3, num_seeds=2)
        for count, is_open in ((3, True), (4, False)):
            tasks = tasks_named(*map(str, range(count)))
            found = standings(race([(task, runs) for task in tasks]))
            assert [each.is_open for each in found] == [is_open] * 2

    def test_nobody_to_stand_against(self):
        names = ("lstm",)
        alone = race([(LadderTask(), runs_about(0.8, names=names))])
        assert standings(alone) == []
        ((cell,),) = (row.cells for row in matrix(alone))
        assert (cell.mean, cell.mark, cell.is_best_mean) == ("0.801", None, False)


class TestMatrix:
    def cells(self, *scores, ladder=None, **options):
        ladder = ladder or LadderTask()
        found = race([(ladder, runs_about(*scores, **options))])
        (row,) = matrix(found)
        return row.cells

    def test_mean_deviation_and_verdict(self):
        lstm, relational, gru = self.cells(0.7, 0.9, 0.6)
        assert (lstm.mean, lstm.std, lstm.mark) == ("0.699", "± 0.012", None)
        assert (relational.mark.word, gru.mark.word) == ("better", "worse")

    def test_better_by_the_rule_is_not_the_best_mean(self):
        cells = self.cells(0.7, 0.9, 0.901)
        assert [cell.is_better for cell in cells] == [False, True, True]
        assert [cell.is_best_mean for cell in cells] == [False, False, True]
        cells = self.cells(0.8, 0.8, 0.8)
        assert not any(cell.is_better for cell in cells)
        assert [cell.is_best_mean for cell in cells].count(True) == 1

    def test_the_baseline_is_better_where_it_beats_everyone(self):
        assert [cell.is_better for cell in self.cells(0.9, 0.7, 0.6)] == [True, False, False]
        assert [cell.is_better for cell in self.cells(0.9, 0.7, 0.9)] == [False] * 3

    def test_who_did_not_learn_has_no_best_mean(self):
        cells = self.cells(0.3, 0.31, 0.32)
        assert [cell.learned for cell in cells] == [False] * 3
        assert [cell.is_best_mean for cell in cells] == [False] * 3
        # A mean that one seed alone made.
        runs = {"lstm": [run(0.625)] * 3, "gru": [run(0.9375), run(0.46875), run(0.46875)]}
        (row,) = matrix(race([(LadderTask(), runs)]))
        assert row.cells[0].mean == row.cells[1].mean
        assert [cell.is_best_mean for cell in row.cells] == [True, False]

    def test_of_errors_the_lowest_is_best(self):
        task = LadderTask((CONSTANT, ORACLE_ERROR), higher_is_better=False)
        cells = self.cells(0.2, 0.05, 0.1, ladder=task)
        assert [cell.is_best_mean for cell in cells] == [False, True, False]

    def test_failures_are_counted(self):
        runs = {"lstm": [run(0.9)] * 3, "gru": [run(0.8), run(None), run(None)]}
        (row,) = matrix(race([(LadderTask(), runs)]))
        assert [cell.finished for cell in row.cells] == ["", "1 of 3 seeds"]
        (row,) = matrix(race([(LadderTask(), {"lstm": [run(None)] * 2})]))
        assert (row.cells[0].mean, row.cells[0].std) == ("–", "")

    def test_six_contestants_on_twenty_tasks(self):
        runs = runs_about(0.7, 0.9, 0.8, 0.6, None, 0.3, names=HOSTILE, num_seeds=2)
        found = matrix(race([(task, runs) for task in tasks_named(*map(str, range(20)))]))
        assert [len(row.cells) for row in found] == [6] * 20

    def test_its_key_says_what_is_there(self, mixed):
        key = words.matrix_key(mixed.plan, mixed.duels, mixed.tasks)
        assert key.startswith("Mean ± standard deviation over 10 seeds. Arrows and signs: ")
        assert "Best mean: among those that learned; it decides nothing." in key
        assert key.endswith("†: did not learn.")
        one = race([(LadderTask(), runs_about(0.8, 0.9, 0.7, num_seeds=1))])
        assert words.matrix_key(one.plan, one.duels, one.tasks) == (
            "The score of one seed. Best score: among those that learned; it decides nothing."
        )
