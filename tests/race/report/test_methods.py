"""Methods for an appendix: nothing that the plan fixes is left out, and no name breaks the text."""

import copy
import re
from collections import Counter

import pytest
from markdown_it import MarkdownIt

from lstm_baseline.race.plan import Plan, Sweep
from lstm_baseline.race.report.bibliography import bibtex
from lstm_baseline.race.report.environment import describe_environment
from lstm_baseline.race.report.markdown import code_block, escape_markdown, value
from lstm_baseline.race.report.methods import UNDESCRIBED, methods
from lstm_baseline.race.report.paper import write_paper
from lstm_baseline.race.tuning import Tuning
from lstm_baseline.race.verdict import VerdictRule
from lstm_baseline.tasks import make_task
from lstm_baseline.training import TrainingSettings
from tests.support.raced import HOSTILE, hostile
from tests.support.races import SETTINGS, LadderTask, race, run, trial

NUMBER, WORD = 918273645, "sentinelword"
QUICK = VerdictRule(num_resamples=500)


def text_of(outcome, folder, command="lstm-baseline compare race.toml"):
    return methods(outcome, describe_environment(folder, command)).text


def everything():
    """Return a race whose plan has every kind of key and value."""
    adding, parity = make_task("adding", length=6), make_task("parity", lengths=5)
    contestants = [
        "lstm",
        {"name": "deep", "model": "lstm", "arguments": {"num_layers": 1, "peepholes": True}},
        {"name": "own", "model": "lstm_baseline.engine.models:LSTM", "arguments": {"bias": True}},
    ]
    names = ["lstm", "deep", "own"]
    return race(
        {name: [run(0.1), run(0.2)] for name in names},
        adding,
        parity,
        contestants=contestants,
        parameters=9000,
        settings=TrainingSettings(
            num_steps=300,
            evaluate_every=100,
            clip_norm=None,
            patience=7,
            optimizer="adamw",
            weight_decay=0.02,
        ),
        tuning=Tuning(
            trials=2,
            space={
                "learning_rate": {"low": 1e-3, "high": 1e-2},
                "batch_size": {"choices": [16, 32]},
            },
        ),
        trials={name: [trial(0.3), trial(None)] for name in names},
        rule=VerdictRule(num_resamples=500),
        sweeps=(
            Sweep(adding, "length", (4, 6), seeds=2, train=False),
            Sweep(parity, "lengths", (3, 5), seeds=1, train=True),
        ),
        trained=lambda spec: run(0.1),
        title="Everything",
    )


def leaves(given, path=()):
    """Yield the path of every value that holds no others."""
    inside = given.items() if isinstance(given, dict) else enumerate(given)
    for key, each in inside:
        if isinstance(each, dict | list | tuple):
            yield from leaves(each, (*path, key))
        else:
            yield (*path, key)


def tables(given, path=()):
    """Yield the path of every mapping."""
    if isinstance(given, dict):
        yield path
    inside = given.items() if isinstance(given, dict) else enumerate(given)
    for key, each in inside:
        if isinstance(each, dict | list):
            yield from tables(each, (*path, key))


def at(config, path):
    for key in path:
        config = config[key]
    return config


def changed(found, path):
    """Return another value than a leaf has, and how the text shows it; None for a change alone."""
    if path[0] == "sweeps" and path[-1] == "task":
        return 1 - found, None
    if isinstance(found, bool):
        return not found, None
    if isinstance(found, float):
        return NUMBER / 1e9, "0.918273645"
    if isinstance(found, str):
        return WORD, WORD
    return NUMBER, str(NUMBER)


class TestEverySetting:
    def test_every_leaf_of_the_plan_is_in_the_text(self, tmp_path, monkeypatch):
        outcome = everything()
        config, before = outcome.plan.config(), text_of(outcome, tmp_path)
        paths = list(leaves(config))
        assert len(paths) > 80
        for path in paths:
            now = copy.deepcopy(config)
            at(now, path[:-1])[path[-1]], shown = changed(at(config, path), path)
            monkeypatch.setattr(Plan, "config", lambda self, now=now: now)
            after = text_of(outcome, tmp_path)
            assert after != before, path
            if shown is not None:
                assert shown not in before
                assert shown in after, path

    def test_a_key_that_nobody_has_described_is_not_left_out(self, tmp_path, monkeypatch):
        outcome = everything()
        config = outcome.plan.config()
        # Who is how wide is shown contestant by contestant, of whom there are no others.
        places = [path for path in tables(config) if path[-1:] not in [("widths",), ("space",)]]
        assert {(), ("training",), ("tuning",), ("verdict",), ("sweeps", 1)} <= set(places)
        for path in places:
            now = copy.deepcopy(config)
            at(now, path)["a_new_key"] = WORD
            monkeypatch.setattr(Plan, "config", lambda self, now=now: now)
            after = text_of(outcome, tmp_path)
            assert WORD in after, path
            assert re.search("a.{0,2}new.{0,2}key", after), path

    def test_every_key_of_the_plan_has_been_described(self, tmp_path):
        """A new key of the plan needs a sentence in ``methods.py``."""
        text = text_of(everything(), tmp_path)
        assert UNDESCRIBED not in text
        assert "further" not in text.lower()
        settings = text[text.index("## Training") : text.index("## Tuning")]
        for name in TrainingSettings.model_fields:
            assert name.replace("_", " ") not in settings or name in (
                "optimizer",
                "learning_rate",
                "momentum",
                "weight_decay",
                "schedule",
            ), f"{name} has no phrase of its own"

    def test_what_the_outcome_adds(self, tmp_path):
        outcome = everything()
        text = text_of(outcome, tmp_path, "lstm-baseline compare 'my race.toml'")
        for part in (
            outcome.plan.hash,
            "2000 samples for validation and 20000 for test",
            "gradients that are not clipped",
            "a stop after 7 validations without improvement",
            "all 2\\^2 sets of pairs are tried",
            "of the 4 planned (2 tasks × 2 challengers)",
            "Of all 27 runs, trials and sweeps included, 6 failed.",
            "lstm-baseline compare 'my race.toml'",
            "A contestant is better on a task if p is at most 0.05",
            "processor: ",
        ):
            assert part in text, part
        for found in outcome.tasks[0].contestants:
            assert f"| adding | {'LSTM' if found.model == 'lstm' else found.model} | {found.width} "

    def test_weight_decay_is_told_where_there_is_one(self, tmp_path):
        text = text_of(everything(), tmp_path)
        assert "a weight decay of 0.02, decoupled from the gradient, of matrices alone" in text
        assert "[@kingma2015; @loshchilov2019" in text
        without = text_of(race({"lstm": [run(0.7)]}), tmp_path)
        assert "decay" not in without
        assert "[@kingma2015" in without

    def test_a_drawn_setting_that_the_plan_leaves_out_has_its_default(self, tmp_path):
        outcome = race(
            {"lstm": [run(0.7)]},
            settings=SETTINGS.model_copy(update={"optimizer": "adamw"}),
            tuning=Tuning(trials=9, space={"weight_decay": {"choices": [0, 0.25]}}),
            trials={"lstm": [trial(0.3)] * 9},
        )
        drawn = [spec.settings.weight_decay for spec in outcome.plan.trials()]
        assert set(drawn) == {0, 0.25}
        text = text_of(outcome, tmp_path)
        assert "a weight decay of 0.0, decoupled from the gradient, of matrices alone" in text
        for k, decay in enumerate(drawn):
            assert re.search(rf"^\| {k} \| {decay} \|", text, re.M)

    def test_what_was_made_equal(self, tmp_path):
        runs = {"lstm": [run(0.7)], "gru": [run(0.8)]}
        text = text_of(race(runs, match="state"), tmp_path)
        assert "all have as many numbers of state as the baseline has with about" in text
        assert UNDESCRIBED not in text

    def test_nothing_tuned_and_nobody_to_compare(self, tmp_path):
        text = text_of(race({"lstm": [run(0.7)]}), tmp_path)
        assert "Nothing was tuned (0 trials)" in text
        assert "There is none, with one contestant" in text
        assert "[@holm1979]" not in text

    def test_settings_that_a_contestant_alone_has_are_shown(self, tmp_path, monkeypatch):
        outcome = everything()
        own = outcome.tasks[1].contestants[2]
        other = own.settings.model_copy(update={"num_steps": NUMBER})
        object.__setattr__(own, "settings", other)
        text = text_of(outcome, tmp_path)
        assert re.search(rf"\| parity \| own \|.*\| {NUMBER} \|", text)
        assert re.search(r"\| parity \| deep \|.*\| 300 \|", text)


class TestCitations:
    @pytest.mark.parametrize("outcome", [everything, hostile, lambda: race({"gru": [run(0.7)]})])
    def test_what_is_cited_is_in_the_bibliography_and_nothing_else(self, outcome, tmp_path):
        write_paper(outcome(), describe_environment(tmp_path, "command"), tmp_path)
        text = (tmp_path / "methods.md").read_text(encoding="utf-8")
        cited = {key for group in re.findall(r"\[(@[^\]]*)\]", text) for key in group.split("; ")}
        entries = re.findall(r"^@\w+\{(.*),$", (tmp_path / "references.bib").read_text(), re.M)
        assert sorted(key.removeprefix("@") for key in cited) == entries
        assert "lstm-baseline" in entries

    def test_only_what_the_race_uses(self, tmp_path):
        environment = describe_environment(tmp_path, "command")
        alone = methods(race({"gru": [run(0.7)]}), environment).cited
        assert "cho2014" in alone
        assert not {"hochreiter1997", "holm1979", "bergstra2012", "lakens2017"} & set(alone)
        all_of_it = methods(everything(), environment).cited
        assert {"gers2002", "deletang2023", "holm1979", "bergstra2012", "dodge2019"} <= set(
            all_of_it
        )
        assert not {"pascanu2013", "phipson2010", "cho2014", "paszke2019"} & set(all_of_it)

    def test_what_a_trial_may_draw_is_cited(self, tmp_path):
        outcome = race(
            {"lstm": [run(0.7)]},
            tuning=Tuning(trials=1, space={"optimizer": {"choices": ["rmsprop", "adamw"]}}),
            trials={"lstm": [trial(0.3)]},
        )
        text = text_of(outcome, tmp_path)
        sources = "[@tieleman2012; @kingma2015; @loshchilov2019]"
        assert f"optimizer one of rmsprop, adamw {sources}, with equal chances" in text

    def test_a_file_of_the_users_is_not_the_task_of_its_name(self, tmp_path):
        environment = describe_environment(tmp_path, "command")
        found = methods(race({"gru": [run(0.7)]}, LadderTask(name="adding")), environment)
        assert "arjovsky2016" not in found.cited
        assert bibtex(found.cited, "1")


def kinds(text):
    """Return how many tokens of each kind a parser finds, but for text."""
    found = MarkdownIt("commonmark").enable("table").parse(text)
    inline = [child for token in found for child in token.children or ()]
    text = ("text", "text_special")
    return Counter(each.type for each in [*found, *inline] if each.type not in text)


def cells(text):
    """Return how many cells each row of a table has as it is written."""
    rows = [line for line in text.splitlines() if line.startswith("| ") and line.endswith(" |")]
    return [len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) for row in rows]


NASTY = (
    HOSTILE,
    "a|b ||| c",
    "`code` ``x`` ```",
    "a\n\n# b\n| c |\n---\n> d",
    "[x](http://e.org) ![y](z)",
    "<http://e.org> <!-- -->",
    "*a* __b__ ~~c~~ $d$ ^e^",
    "&lt; &amp; \\| \\",
    "@holm1979 [@holm1979; -@x]",
    "]: http://e.org 'x'",
)


class TestMarkdown:
    @pytest.mark.parametrize("name", NASTY)
    def test_no_name_changes_what_the_text_is_made_of(self, name, tmp_path):
        environment = describe_environment(tmp_path, f"run {name}")
        for given, folder in ((name, "nasty"), ("plain", "plain")):
            write_paper(hostile(given), environment, tmp_path / folder)
        for file in ("methods.md", "checklist.md"):
            texts = [
                (tmp_path / folder / file).read_text(encoding="utf-8")
                for folder in ("nasty", "plain")
            ]
            found, plain = map(kinds, texts)
            assert found == plain
            # A parser cuts a row that has too many cells.
            assert cells(texts[0]) == cells(texts[1])
            assert not {"link_open", "image", "html_inline", "html_block"} & set(found)

    @pytest.mark.parametrize("name", NASTY)
    def test_what_is_escaped_is_shown_as_it_is(self, name):
        html = MarkdownIt("commonmark").enable("table").renderInline(escape_markdown(name))
        plain = re.sub("<[^>]*>", "<tag>", html)
        for entity, letter in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&amp;", "&")):
            plain = plain.replace(entity, letter)
        assert plain == name.replace("\n", "\\n")

    def test_addresses_are_no_links(self):
        assert escape_markdown("see http://e.org, HTTPS://e.org") == (
            "see http\\://e.org, HTTPS\\://e.org"
        )
        assert escape_markdown("www.e.org") == "www\\.e.org"

    def test_a_block_of_code_is_closed_by_nothing_inside(self):
        (token,) = MarkdownIt("commonmark").parse(code_block("a\n```\n````\nb"))
        assert token.type == "fence"
        assert token.content == "a\n```\n````\nb\n"

    def test_numbers_keep_all_their_digits(self):
        assert value(0.1 + 0.2) == "0.30000000000000004"
        assert [value(each) for each in (None, True, False, 3, 1e-8)] == [
            "none",
            "true",
            "false",
            "3",
            "1e-08",
        ]
        assert value({"a": [1, 2]}) == '\\{"a": \\[1, 2\\]\\}'


def test_the_question_control_is_told_where_a_task_asks(tmp_path):
    asked = race({"lstm": [run(0.9, other_question_score=0.0)]}, rule=QUICK)
    assert "another question" in text_of(asked, tmp_path)
    unasked = race({"lstm": [run(0.9)]}, rule=QUICK)
    assert "another question" not in text_of(unasked, tmp_path)
