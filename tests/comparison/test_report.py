"""The report of a really trained race, read by a parser and by a browser; the terminal's table."""

import base64
import io
import shutil
import subprocess
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.image import imread
from races import ERROR_LADDER, LadderTask, outcome, race, run
from rich.console import Console

from lstm_baseline.comparison.execute import run_all
from lstm_baseline.comparison.plan import Plan
from lstm_baseline.comparison.report import print_table, write_report
from lstm_baseline.comparison.results import summarise
from lstm_baseline.comparison.run import MODEL
from lstm_baseline.tasks import make_task
from lstm_baseline.training import TrainingSettings

COMMAND = "lstm-baseline compare --tasks 'a b' --seeds 2"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


class Page(HTMLParser):
    """What a page holds, tag by tag."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.text, self.open = [], [], [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())

    @property
    def images(self):
        return [
            base64.b64decode(value.removeprefix("data:image/svg+xml;base64,"), validate=True)
            for tag, name, value in self.attributes
            if (tag, name) == ("img", "src")
        ]


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A tiny race of all three models, run for real: plan, specs, results, folder."""
    folder = tmp_path_factory.mktemp("race")
    plan = Plan(
        tasks=(
            make_task("pair-matching", num_pairs=2, num_symbols=4),
            make_task("adding", length=4),
        ),
        models=("lstm", "relational", "gru"),
        seeds=2,
        settings=TrainingSettings(
            num_steps=40, batch_size=16, learning_rate=1e-2, evaluate_every=10
        ),
        head_size=10,
    )
    for task in plan.tasks:
        task.validation_size = task.test_size = 200
    specs = plan.runs()
    results = run_all(specs, folder / "runs", num_workers=2, console=Console(file=io.StringIO()))
    return plan, specs, results, folder


def report(plan, specs, results, folder, command=COMMAND):
    return write_report(plan, summarise(plan, specs, results), folder, command)


@pytest.fixture(scope="session")
def html(trained):
    plan, specs, results, folder = trained
    return report(plan, specs, results, folder).read_text(encoding="utf-8")


def write_made_up(tmp_path, runs, *tasks):
    """Return the page of a race that was never run: its models cannot be looked into."""
    path = report(*race(runs, *tasks), tmp_path)
    return path.read_text(encoding="utf-8")


class TestPage:
    def test_is_written_where_it_says(self, trained, html):
        assert html == (trained[3] / "index.html").read_text(encoding="utf-8")
        assert html.startswith("<!DOCTYPE html>")

    def test_every_tag_is_closed(self, html):
        assert Page(html).open == []

    def test_needs_nothing_from_elsewhere(self, html):
        page = Page(html)
        assert not {"script", "link", "iframe", "object"} & set(page.tags)
        for _, name, value in page.attributes:
            if name in ("src", "href"):
                assert value.startswith(("data:image/svg+xml;base64,", "#"))
            assert not name.startswith("on")
        assert "http" not in html
        assert "url(" not in html
        assert "@import" not in html

    def test_links_lead_somewhere(self, html):
        page = Page(html)
        ids = [value for _, name, value in page.attributes if name == "id"]
        assert len(ids) == len(set(ids))
        links = [value for _, name, value in page.attributes if name == "href"]
        assert {link.removeprefix("#") for link in links} <= set(ids)

    def test_every_image_is_svg_with_a_description(self, html):
        page = Page(html)
        # 2 tasks × (2 learning curves, scores, 3 models × 3, gradients)
        assert len(page.images) == 2 * (2 + 1 + 9 + 1)
        for svg in page.images:
            root = ET.fromstring(svg)
            assert len(list(root.iter("{http://www.w3.org/2000/svg}path"))) > 20
        alts = [value for tag, name, value in page.attributes if (tag, name) == ("img", "alt")]
        assert len(alts) == len(set(alts)) == len(page.images)

    def test_sections_in_order(self, html):
        places = [
            html.index(f"<h2>{title}</h2>")
            for title in (
                "Final scores",
                "Speed of learning",
                "Size and cost",
                "Learning curves",
                "Scores by seed",
                "Inside the models",
                "Failures",
                "How it was run",
            )
        ]
        assert places == sorted(places)

    def test_every_number_of_the_race_is_there(self, trained, html):
        plan, specs, results, _ = trained
        words = Page(html).words
        for result in results:
            assert f"{result.num_params:,}" in words
            assert f"{result.flops_per_step:,}" in words
        for of_task in summarise(plan, specs, results):
            for rung in of_task.ladder:
                assert rung.name in words
                assert f"{rung.score:.3f}" in words
            for contestant in of_task.contestants:
                score = contestant.score
                if score.mean >= 0.1:
                    assert f"{score.mean:.3f} ± {score.std:.3f}" in words

    def test_says_how_it_was_run(self, html):
        words = Page(html).words
        assert COMMAND in words
        for fact in ("learning rate 0.01", "batch size 16", "Python 3.", "NumPy", "CPU cores"):
            assert fact in words
        assert "num_pairs = 2" in words

    def test_says_that_it_is_no_test_and_names_no_winner(self, html):
        words = Page(html).words
        assert "a comparison, not a test" in words
        assert "no winner is declared" in words
        for claim in ("significant", "p-value", "wins", "better than the LSTM"):
            assert claim not in words

    def test_is_small(self, html):
        assert len(html.encode()) < 1_500_000


class TestWords:
    def test_who_learned(self, tmp_path):
        runs = {
            "lstm": [run(0.9), run(0.8), run(0.7)],
            "relational": [run(0.9), run(0.3), run(None)],
            "gru": [run(0.4), run(0.5), run(0.1)],
        }
        words = Page(write_made_up(tmp_path, runs)).words
        assert "LSTM learned (0.800)" in words
        assert "relational RNN learned in 1 of 3 seeds (0.600)" in words
        assert "GRU did not learn (0.333)" in words
        assert "1 of 9 runs failed" in words

    def test_failures_with_their_reasons(self, tmp_path):
        runs = {"lstm": [run(0.9), run(None, reason="loss is nan at step 3")]}
        words = Page(write_made_up(tmp_path, runs)).words
        assert "made-up, LSTM, seed 1: loss is nan at step 3" in words
        assert "0.900 (1 of 2 seeds)" in words

    def test_what_was_not_reached(self, tmp_path):
        runs = {"lstm": [run(0.9, history=[0.2, 0.9]), run(0.6), run(0.6)]}
        words = Page(write_made_up(tmp_path, runs)).words
        assert "threshold 0.750, half way from last one to oracle" in words
        assert "LSTM not reached not reached 1 of 3" in words

    def test_nothing_finished_and_no_ladder(self, tmp_path):
        runs = {"lstm": [run(None, history=[])], "gru": [run(None)]}
        words = Page(write_made_up(tmp_path, runs, LadderTask(()))).words
        assert "LSTM did not learn (no score)" in words
        assert "No run finished." in words
        assert "One seed shows what can happen" in words

    def test_one_model_alone(self, tmp_path):
        task = LadderTask(ERROR_LADDER, higher_is_better=False)
        words = Page(write_made_up(tmp_path, {"lstm": [run(0.1)]}, task)).words
        assert words.startswith("LSTM on 1 task")
        assert "lower is better" in words
        assert "It has 1,000 parameters." in words

    def test_a_model_that_is_gone_or_damaged(self, trained, tmp_path):
        plan, specs, results, folder = trained
        shutil.copytree(folder / "runs", tmp_path / "runs")
        (tmp_path / "runs" / specs[0].name / MODEL).unlink()
        (tmp_path / "runs" / specs[1].name / MODEL).write_bytes(b"nonsense")
        page = Page(report(plan, specs, results, tmp_path).read_text("utf-8"))
        assert page.words.count("The trained model cannot be shown: ") == 2
        assert len(page.images) == 26 - 6


def test_whatever_a_user_names_is_escaped(tmp_path):
    hostile = "<script>alert(1)</script>&\"'{{ 7*7 }}"
    rungs = [rung._replace(name=hostile, description=hostile) for rung in ERROR_LADDER]
    task = LadderTask(tuple(rungs), name=hostile, higher_is_better=False)
    task.summary = hostile
    runs = {"lstm": [run(0.1), run(None, reason=hostile)]}
    path = report(*race(runs, task), tmp_path, command=f"run {hostile}")
    page = Page(path.read_text(encoding="utf-8"))
    assert "script" not in page.tags
    assert page.words.count(hostile) > 10
    assert f"run {hostile}" in page.words
    assert page.open == []


def browse(path, profile, *options):
    """Open a page in Chromium with no network, and return what it prints."""
    return subprocess.run(
        [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--user-data-dir={profile}",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            *options,
            path.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout


@needs_browser
class TestInABrowser:
    def test_every_image_decodes_and_nothing_is_wider_than_the_page(self, html, tmp_path):
        probe = """<script>
        addEventListener("load", async () => {
          const images = [...document.images];
          await Promise.all(images.map((image) => image.decode()));
          const shown = images.filter((i) => i.naturalWidth > 100 && i.clientWidth > 100);
          document.title = [images.length, shown.length,
            document.documentElement.scrollWidth - innerWidth].join(" ");
        });</script></body>"""
        path = tmp_path / "probe.html"
        path.write_text(html.replace("</body>", probe), encoding="utf-8")
        for width in (1200, 400):
            dom = browse(
                path,
                tmp_path / "profile",
                f"--window-size={width},900",
                "--virtual-time-budget=9000",
                "--dump-dom",
            )
            title = dom[dom.index("<title>") + 7 : dom.index("</title>")]
            assert title == "26 26 0", f"at width {width}"

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_ink_and_page_are_far_apart_in_every_figure(self, html, tmp_path, scheme):
        """Only figures are left on the page, so what is not page is ink, lines and colours."""
        path = tmp_path / "figures.html"
        only = "<style>body * { visibility: hidden; } img { visibility: visible !important; }"
        path.write_text(html.replace("</head>", f"{only}</style></head>"), encoding="utf-8")
        picture = tmp_path / f"{scheme}.png"
        browse(
            path,
            tmp_path / "profile",
            "--window-size=1200,6000",
            f"--screenshot={picture}",
            f"--blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}",
        )
        grey = 255 * imread(picture)[..., :3].mean(axis=-1)
        page = grey[0, 0]
        assert (page < 40) if scheme == "dark" else (page > 240)
        assert 0.001 < np.mean(np.abs(grey - page) > 150) < 0.2


class TestTable:
    def show(self, runs, task=None, width=80):
        of_task = outcome(runs, task)
        plan, *_ = race(runs, task or LadderTask())
        console = Console(file=io.StringIO(), width=width)
        print_table(plan, [of_task], console)
        return console.file.getvalue()

    @pytest.mark.parametrize("width", [80, 120])
    def test_one_row_for_each_model_with_all_that_matters(self, width):
        text = self.show(
            {
                "lstm": [run(0.9, history=[0.2, 0.9]), run(0.7, history=[0.2, 0.8, 0.7])],
                "relational": [run(0.4), run(None)],
            },
            width=width,
        )
        (heading,) = [line for line in text.splitlines() if line.startswith("made-up")]
        assert "last one 0.500" in heading
        assert "oracle 1.000" in heading
        lstm, relational = [
            line.split() for line in text.splitlines() if line.startswith(("lstm", "relational"))
        ]
        assert " ".join(lstm) == "lstm 0.800 ± 0.141 0.200 1,000 3.0 s 100 2 of 2"
        assert " ".join(relational) == "relational 0.400 0.200 1,000 3.0 s not reached 0 of 2"
        assert "no winner is declared" in " ".join(text.split())

    def test_fits_80_columns_with_the_largest_numbers(self):
        runs = [
            run(123456.7, untrained=1234567.8, seconds=360000),
            run(0.00001, untrained=1234567.8, seconds=36000.0),
        ]
        runs = [r.model_copy(update={"num_params": 12_345_678}) for r in runs]
        task = LadderTask(ERROR_LADDER, higher_is_better=False, name="a-name-" * 20)
        text = self.show({"relational": runs}, task)
        assert max(map(len, text.splitlines())) <= 80
        assert "…" not in text
        assert "12,345,678" in text

    def test_names_are_no_markup(self):
        text = self.show({"lstm": [run(0.9)]}, LadderTask(name="[red]mine[/red]"))
        assert "[red]mine[/red]" in text
