"""``lstm-baseline board``: races on equal tasks side by side, each checked first."""

import csv
import io
import json
import shutil

import pytest
from rich.console import Console

from lstm_baseline import FileError
from lstm_baseline.race.board import board_csv, board_page, make_board
from lstm_baseline.race.race import hold_race, report_race
from lstm_baseline.race.report.exports import VERDICT
from lstm_baseline.runs.saved_model import MODEL
from lstm_baseline.tasks import make_task
from lstm_baseline.training import TrainingSettings
from tests.support.processes import run
from tests.support.raced import HOSTILE
from tests.support.races import planned

QUIET = Console(quiet=True)
PAIRS = make_task("pair-matching", num_pairs=2, num_symbols=6)
ADDING = make_task("adding", length=3)


def held(folder, contestants, tasks, title):
    settings = TrainingSettings(num_steps=20, batch_size=8, evaluate_every=10)
    plan = planned(contestants, tasks, 2, parameters=1000, settings=settings, title=title)
    outcome = hold_race(plan, folder, num_workers=2, console=QUIET)
    report_race(outcome, folder, command="compare", console=QUIET)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A race of the LSTM and the GRU on two tasks, and one of minGRU and the GRU on one of them."""
    parent = tmp_path_factory.mktemp("races")
    return [
        held(parent / "one", ["lstm", "gru"], [PAIRS, ADDING], "One race"),
        held(parent / "two", ["mingru", "gru"], [PAIRS], HOSTILE),
    ]


def by_name(task):
    return [(entry.contestant, entry.race) for entry in task.entries]


def test_races_on_a_task_are_put_together_and_the_best_come_first(folders):
    board = make_board(folders)
    assert [(task.name, len(task.entries)) for task in board] == [
        ("pair-matching", 4),
        ("adding", 2),
    ]
    pairs, adding = board
    assert pairs.arguments == {"num_pairs": 2, "num_symbols": 6}
    scores = [entry.score for entry in pairs.entries]
    assert scores == sorted(scores, reverse=True)
    errors = [entry.score for entry in adding.entries]
    assert errors == sorted(errors)
    assert {entry.num_steps for entry in pairs.entries} == {20}
    assert {entry.seeds for entry in pairs.entries} == {2}
    assert not any(entry.problems for task in board for entry in task.entries)


def test_only_what_ran_beside_the_lstm_is_compared_with_it(folders):
    pairs = make_board(folders)[0]
    said = {who: entry.verdict for who, entry in zip(by_name(pairs), pairs.entries, strict=True)}
    assert said["lstm", "One race"] == "baseline"
    assert said["gru", "One race"] in ("better", "worse", "equivalent", "undecided", "not compared")
    assert said["mingru", HOSTILE] == said["gru", HOSTILE] == ""


def test_the_numbers_are_those_of_the_verdict(folders):
    (entry,) = (e for e in make_board(folders)[1].entries if e.contestant == "gru")
    verdict = json.loads((folders[0] / VERDICT).read_text())
    (task,) = (task for task in verdict["tasks"] if task["title"] == "adding")
    (gru,) = (each for each in task["contestants"] if each["name"] == "gru")
    assert (entry.score, entry.std) == (gru["score"]["mean"], gru["score"]["std"])
    assert (entry.parameters, entry.plan) == (gru["parameters"], verdict["plan"][:12])


def test_a_folder_that_was_changed_is_shown_and_not_verified(folders, tmp_path):
    changed = shutil.copytree(folders[0], tmp_path / "changed")
    path = changed / VERDICT
    verdict = json.loads(path.read_text())
    verdict["tasks"][0]["contestants"][1]["score"]["mean"] = 0.999
    path.write_text(json.dumps(verdict))
    board = make_board([changed, folders[1]])
    best = board[0].entries[0]
    assert (best.contestant, best.score) == ("gru", 0.999)
    assert [problem.partition(":")[0] for problem in best.problems] == ["verdict"]
    lines = list(csv.DictReader(io.StringIO(board_csv(board))))
    assert [line["verified"] for line in lines if line["race"] == "One race"] == ["no"] * 4
    assert [line["verified"] for line in lines if line["race"] == HOSTILE] == ["yes"] * 2
    assert "no: verdict" in board_page(board, tmp_path)


def test_an_exchanged_model_is_found_too(folders, tmp_path):
    changed = shutil.copytree(folders[0], tmp_path / "changed")
    one, other = sorted(changed.glob(f"runs/pair*--lstm--*/{MODEL}"))
    shutil.copy(one, other)
    (entry, *_) = make_board([changed])[0].entries
    assert [problem.partition(":")[0] for problem in entry.problems] == ["models"]


def test_what_a_title_says_is_shown_and_not_obeyed(folders, tmp_path):
    page = board_page(make_board(folders), tmp_path)
    assert "<script" not in page
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"has no verdict\.json: give folders of races that have ended"),
        ("[]", r"verdict\.json is damaged; `lstm-baseline verify` says more"),
        ('{"title": "x"}', r"verdict\.json is damaged"),
        ("{", r"verdict\.json"),
    ],
)
def test_a_folder_without_a_verdict_is_refused_by_name(folders, tmp_path, content, message):
    changed = shutil.copytree(folders[1], tmp_path / "changed")
    (changed / VERDICT).unlink()
    if content is not None:
        (changed / VERDICT).write_text(content)
    with pytest.raises(FileError, match=message):
        make_board([folders[0], changed])


def test_the_command_writes_a_page_that_leads_to_the_reports(folders):
    parent = folders[0].parent
    ended = run("board", "one", "two", cwd=parent)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "pair-matching: 4 contestants" in ended.stdout
    page = (parent / "board" / "index.html").read_text()
    assert 'href="../one/index.html"' in page
    assert 'href="../two/index.html"' in page
    assert "NaN" not in page
    table = (parent / "board" / "board.csv").read_text()
    assert table == board_csv(make_board(folders))
    nothing = run("board", "none", cwd=parent)
    assert (nothing.returncode, nothing.stdout) == (2, "")
    assert nothing.stderr == "lstm-baseline: none holds no race: it has no plan.json\n"
