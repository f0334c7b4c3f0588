"""The outcome on the terminal: within 80 columns, the verdict last, names as they are."""

import io

import pytest
from rich.console import Console

from lstm_baseline.race.report.terminal import print_table
from tests.support.raced import HOSTILE, hostile
from tests.support.races import ERROR_LADDER, LadderTask, race, run


def show(outcome, width=80, **options):
    console = Console(file=io.StringIO(), width=width, **options)
    print_table(outcome, console)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 120])
def test_one_row_for_each_contestant_with_all_that_matters(width):
    text = show(
        race(
            {
                "lstm": [run(0.9, history=[0.2, 0.9]), run(0.7, history=[0.2, 0.8, 0.7])],
                "relational": [run(0.4), run(None)],
            }
        ),
        width,
    )
    (heading,) = [line for line in text.splitlines() if line.startswith("made-up  ")]
    assert "last one 0.500" in heading
    assert "oracle 1.000" in heading
    lstm, relational = [
        line.split() for line in text.splitlines() if line.startswith(("lstm", "relational"))
    ]
    assert " ".join(lstm[:5]) == "lstm 0.800 ± 0.141 0.200"
    assert " ".join(lstm[-6:]) == "3.0 s 100 2 of 2"
    assert " ".join(relational[-7:]) == "3.0 s not reached 0 of 2"
    assert " ".join(text.split()).endswith(
        "mean ± standard deviation over 2 seeds Open, the relational RNN against the LSTM: "
        "undecided on made-up (2 paired seeds, 300 steps). Next: look at why relational failed on "
        "made-up with seed 1: loss is nan at step 7; hold a race of 6 seeds: fewer can decide "
        "nothing."
    )


def test_every_challenger_has_a_sentence():
    runs = {name: [run(0.8)] * 3 for name in ("lstm", "one", "two")}
    text = " ".join(show(race(runs)).split())
    assert "Open, one against the LSTM: undecided on made-up (3 paired seeds, 300 steps)." in text
    assert "Open, two against the LSTM: undecided on made-up (3 paired seeds, 300 steps)." in text


@pytest.mark.parametrize(
    ("runs", "sentence"),
    [
        ({"lstm": [run(0.9)] * 3}, "No verdict: the LSTM raced alone."),
        ({"lstm": [run(0.9)], "mine": [run(0.9)]}, "one seed shows what can happen"),
    ],
)
def test_no_verdict_is_said_plainly(runs, sentence):
    assert sentence in " ".join(show(race(runs)).split())


def test_fits_80_columns_with_the_largest_numbers():
    runs = [
        run(123456.7, untrained=1234567.8, seconds=360000),
        run(0.00001, untrained=1234567.8, seconds=36000.0),
    ]
    task = LadderTask(ERROR_LADDER, higher_is_better=False, name="a-name-" * 20)
    text = show(race({"lstm": runs, "W" * 60: runs}, task))
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text


@pytest.mark.parametrize(
    ("scores", "shown"),
    [
        ((0.00002, 0.00003), "0.000025 ± 0.000005"),
        ((9.1e-6, 9.3e-6), "9.20e-06 ± 1.05e-07"),
    ],
)
def test_nothing_is_cut_off(scores, shown):
    runs = [run(score) for score in scores] * 5
    task = LadderTask(ERROR_LADDER, higher_is_better=False)
    text = show(race({"lstm": runs, "relational": runs}, task))
    rows = [line for line in text.splitlines() if line.startswith(("lstm", "relational"))]
    assert len(rows) == 2
    for row in rows:
        assert shown in row
        assert row.rstrip().endswith("10 of 10")
    assert max(map(len, text.splitlines())) <= 80


def test_names_are_neither_markup_nor_control():
    text = show(hostile(), width=400)
    assert text.count(HOSTILE) >= 4
    name = "a\x1b[31mb\u202ec"
    text = show(hostile(name), force_terminal=False)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert r"a\x1b[31mb\u202ec" in text
