"""Tables for a paper: their numbers, their marks, and that LaTeX sets them on a page."""

import re
import shutil
import subprocess

import pytest

from lstm_baseline.race.report.latex import escape_latex, results_latex
from lstm_baseline.race.verdict import VerdictRule
from tests.support.raced import hostile, swept
from tests.support.races import CHANCE, HEURISTIC, ORACLE, LadderTask, race, run

QUICK = VerdictRule(num_resamples=500)
needs_latex = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX here")
SOLVED = (CHANCE, HEURISTIC, ORACLE._replace(score=0.5))


def runs(score, count=8):
    return [run(score + k / 1000) for k in range(count)]


def tables(outcome):
    """Return the tables, each as its lines."""
    text = results_latex(outcome)
    return [part.splitlines() for part in text.split(r"\begin{table}")[1:]]


def crowded():
    """Return a race of six contestants on twenty tasks, most of which have long names."""
    names = [
        "lstm",
        "relational",
        "a contestant whose name has sixty letters, all of them meant",
        "B" * 60,
        "tuned_by_hand & 100%",
        "mine",
    ]
    tasks = [
        LadderTask(
            name=f"task {k} whose name is long enough to need three lines of a table"
            if k % 3
            else f"t_{k}"
        )
        for k in range(20)
    ]
    given = {name: [runs(0.6 + 0.05 * place)] * 20 for place, name in enumerate(names)}
    return race(given, *tasks, rule=QUICK)


class TestScores:
    def test_the_table(self):
        outcome = race(
            {"lstm": runs(0.7), "mine": runs(0.9)}, LadderTask(name="a_task"), rule=QUICK
        )
        text = results_latex(outcome)
        assert r"best\\heuristic\end{tabular} & LSTM & mine & oracle \\" in text
        assert (
            r"a\_task & accuracy $\uparrow$ & 0.500 & "
            r"0.704 $\pm$ 0.002 & \textbf{0.903 $\pm$ 0.002} & 1.000 \\"
        ) in text
        assert "mine wins against the LSTM: better on a\\_task (8 paired seeds, 300 steps)" in text
        assert outcome.plan.hash in text

    def test_who_is_only_ahead_is_not_bold(self):
        text = results_latex(race({"lstm": [run(0.7)] * 3, "mine": [run(0.9)] * 3}, rule=QUICK))
        assert r"\textbf" not in text

    def test_the_baseline_is_bold_where_it_beats_everyone(self):
        def text(*others):
            given = {"lstm": [[run(0.9 + k / 1000) for k in range(8)]]}
            for place, score in enumerate(others):
                given[f"other {place}"] = [[run(score + k / 999) for k in range(8)]]
            return "\n".join(tables(race(given, LadderTask(), rule=QUICK))[0])

        assert r" & \textbf{0.903 $\pm$ 0.002} & 0.704" in text(0.7)
        assert r" & \textbf{0.903 $\pm$ 0.002} & 0.704" in text(0.7, 0.6)
        assert r"\textbf" not in text(0.7, 0.9)

    def test_who_did_not_learn_is_marked(self):
        text = results_latex(race({"lstm": [run(0.7)], "mine": [run(0.4)]}))
        assert r" & 0.700 & 0.400$^\dagger$ & " in text
        assert r"$^\dagger$: did not learn." in text
        assert r"\dagger" not in results_latex(race({"lstm": [run(0.7)], "mine": [run(0.7)]}))

    def test_runs_that_the_means_leave_out_are_counted(self):
        text = results_latex(race({"lstm": [run(0.7), run(None)], "mine": [run(None)] * 2}))
        assert "Left out here: 3 runs that failed, which the verdict counts as chance." in text
        assert "Left out" not in results_latex(race({"lstm": [run(0.7)]}))

    def test_who_is_equivalent_is_marked(self):
        text = results_latex(race({"lstm": runs(0.7), "mine": runs(0.7)}, rule=QUICK))
        assert r" & 0.704 $\pm$ 0.002 & 0.704 $\pm$ 0.002~$\approx$ & 1.000 " in text
        assert r"$\approx$: equivalent to the LSTM by that rule." in text


class TestDifferences:
    def test_each_has_its_interval_and_its_mark(self):
        values = [0.7, 0.71, 0.69, 0.7, 0.72, 0.68, 0.7, 0.7]
        given = {
            "lstm": [runs(0.7), runs(0.9), [run(v) for v in values], runs(0.3), runs(0.8)],
            "mine": [runs(0.9), runs(0.8), runs(0.7), runs(0.3), runs(0.8)],
        }
        tasks = [LadderTask(name=name) for name in ("won", "lost", "open", "missed", "same")]
        _, found = tables(race(given, *tasks, rule=QUICK))
        rows = [line for line in found if line.endswith(r"\\")][1:]
        assert rows[0] == r"won & \textbf{0.400 [0.400, 0.400]} \\"
        assert rows[1] == r"lost & \textbf{$-$0.200 [$-$0.200, $-$0.200]} \\"
        assert re.fullmatch(r"open & 0\.007 \[\$-\$0\.0\d\d, 0\.0\d\d\] \\\\", rows[2])
        assert rows[3] == r"missed & $^\dagger$ \\"
        assert rows[4] == r"same & 0.000 [0.000, 0.000]~$\approx$ \\"
        caption = next(line for line in found if "caption" in line)
        for part in (
            "challenger is ahead",
            "8 paired seeds, with its 95\\% interval",
            "p at most 0.05 after Holm's correction, and the interval beyond $\\pm$0.02",
            "equivalent within $\\pm$0.02",
            "not compared, as neither learned",
        ):
            assert part in caption

    def test_intervals_without_ends(self):
        _, found = tables(race({"lstm": [run(0.7)] * 3, "mine": [run(0.9)] * 3}, rule=QUICK))
        assert r"made-up & 0.400 [$-$$\infty$, $\infty$] \\" in found

    def test_a_task_whose_best_heuristic_is_perfect(self):
        given = {"lstm": [runs(0.7), runs(0.9)], "mine": [runs(0.7), runs(0.9)]}
        _, found = tables(race(given, LadderTask(), LadderTask(SOLVED, name="solved"), rule=QUICK))
        assert r"solved & -- \\" in found
        assert "--: not compared, as the best heuristic is perfect." in "\n".join(found)

    def test_rounding_moves_no_end_over_zero_or_the_margin(self):
        def cell(*differences):
            given = {
                "lstm": [run(0.7)] * len(differences),
                "mine": [run(0.7 + d / 2) for d in differences],
            }
            _, found = tables(race(given, rule=QUICK))
            return next(line for line in found if line.startswith("made-up"))

        assert cell(*[0.02004] * 8) == r"made-up & \textbf{0.02004 [0.02004, 0.02004]} \\"
        assert cell(*[0.0202] * 8) == r"made-up & \textbf{0.0202 [0.0202, 0.0202]} \\"
        assert cell(*[0.025] * 8) == r"made-up & \textbf{0.025 [0.025, 0.025]} \\"
        assert cell(*[-0.0001] * 8).startswith(r"made-up & $-$0.0001 [$-$0.0001, $-$0.0001]")

    @pytest.mark.parametrize(
        "given", [{"lstm": runs(0.7)}, {"lstm": [run(0.7)], "mine": [run(0.9)]}]
    )
    def test_none_without_a_comparison(self, given):
        assert len(tables(race(given, rule=QUICK))) == 1


class TestManyOfThem:
    def test_nobody_is_left_out_and_every_label_is_its_own(self):
        outcome = crowded()
        text = results_latex(outcome)
        labels = re.findall(r"\\label\{(.*?)\}", text)
        assert len(labels) == len(set(labels)) == text.count(r"\begin{table}") > 4
        assert {f"tab:{kind}-{outcome.plan.hash[:8]}" for kind in ("scores", "differences")} <= set(
            labels
        )
        assert set(re.findall(r"\\ref\{(.*?)\}", text)) <= set(labels)
        for name in outcome.plan.models:
            for task in range(20):
                assert text.count(f"t\\_{task} ") == (4 if task % 3 == 0 else 0), (name, task)
        assert text.count("0.603 $\\pm$") == 20
        assert text.count(" [") == 20 * 5


def test_every_special_character_stands_for_itself():
    assert escape_latex("50% of $x_1$ & {y} #2 ~ ^ \\ \n") == (
        r"50\% of \$x\_1\$ \& \{y\} \#2 \textasciitilde{} \textasciicircum{} "
        r"\textbackslash{} \textbackslash{}n"
    )


@pytest.mark.parametrize("start", ["[9cm]", "*", "*[9cm]"])
def test_a_line_that_starts_like_an_argument_of_the_one_before(start):
    text = results_latex(race({"lstm": [run(0.7)]}, *map(laddered, ("a", start + " b"))))
    assert not re.search(r"\\\\\s*[\[*]", text)


def laddered(name):
    return LadderTask(name=name)


def test_hostile_names_leave_nothing_that_latex_acts_on():
    text = results_latex(hostile())
    body = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    known = (
        r"begin|end|centering|sloppy|par|smallskip|allowbreak|footnotesize|setlength|tabcolsep|caption|label|ref|toprule|midrule|"
        r"bottomrule|resizebox|ifdim|width|linewidth|else|fi|textbf|pm|infty|uparrow|downarrow|"
        r"dagger|approx|text(?:backslash|asciitilde|asciicircum|less|greater|bar)|[\\&%$#_{}]"
    )
    without = re.sub(rf"\\(?:{known})", "", body.replace("{!}{%", "{!}{"))
    assert "\\" not in without
    assert not set("%#") & set(without)
    assert without.count("~") == text.count("~$\\approx$") + text.count("Table~\\ref")
    assert without.count("{") == without.count("}")
    assert without.count("$") % 2 == 0


@needs_latex
@pytest.mark.parametrize("outcome", [hostile, swept, crowded])
@pytest.mark.parametrize("columns", ["", "twocolumn"])
def test_latex_sets_it_and_it_fits_the_page(outcome, columns, tmp_path):
    (tmp_path / "results.tex").write_text(results_latex(outcome()))
    (tmp_path / "paper.tex").write_text(
        rf"\documentclass[{columns}]{{article}}\usepackage{{booktabs,graphicx}}"
        r"\begin{document}\input{results}\end{document}"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape"]
    for _ in range(2):  # labels are known the second time
        found = subprocess.run(
            [*command, "paper"], cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
    assert found.returncode == 0, found.stdout
    assert (tmp_path / "paper.pdf").stat().st_size > 10_000
    log = (tmp_path / "paper.log").read_text(errors="replace")
    assert "Float too large" not in log
    assert "undefined references" not in log
    assert all(
        float(points) <= 10 for points in re.findall(r"Overfull \\[hv]box \(([\d.]+)pt", log)
    )
