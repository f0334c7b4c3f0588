"""The report of a race that was really run, read by a parser and by a browser."""

import base64
import csv
import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.image import imread

from lstm_baseline.plots import formats
from lstm_baseline.race.report.page import write_report
from lstm_baseline.race.verdict import VerdictRule
from lstm_baseline.runs.saved_model import MODEL
from tests.support.raced import COMMAND, HOSTILE, carried_out, hostile
from tests.support.races import ERROR_LADDER, LadderTask, race, run

QUICK = VerdictRule(num_resamples=500)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
VOID = ("meta", "img", "br")


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
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())

    def values(self, tag, name):
        return [value for t, n, value in self.attributes if (t, n) == (tag, name)]

    @property
    def images(self):
        return [
            base64.b64decode(value.removeprefix("data:image/svg+xml;base64,"), validate=True)
            for value in self.values("img", "src")
        ]


@pytest.fixture(scope="session")
def raced(tmp_path_factory):
    """A small race of three contestants, run for real: plan, page, terminal."""
    return carried_out(tmp_path_factory.mktemp("race"))


@pytest.fixture(scope="session")
def html(raced):
    return raced[1].read_text(encoding="utf-8")


def written(tmp_path, outcome, command=COMMAND):
    """Return the page of a race that was never run: its models cannot be looked into."""
    return Page(write_report(outcome, tmp_path, command).read_text(encoding="utf-8"))


class TestPage:
    def test_every_tag_is_closed(self, html):
        assert html.startswith("<!DOCTYPE html>")
        assert Page(html).open == []

    def test_needs_nothing_from_elsewhere(self, html):
        page = Page(html)
        assert not {"script", "link", "iframe", "object"} & set(page.tags)
        for tag, name, value in page.attributes:
            assert not name.startswith("on")
            if name == "src":
                assert value.startswith("data:image/svg+xml;base64,")
            if name == "href":
                assert tag == "a"
        assert "http://" not in html
        assert "https://" not in html
        assert "url(" not in html
        assert "@import" not in html
        assert "default-src 'none'" in html

    def test_links_lead_somewhere(self, raced, html):
        page = Page(html)
        ids = [value for _, name, value in page.attributes if name == "id"]
        assert len(ids) == len(set(ids))
        for link in page.values("a", "href"):
            if link.startswith("#"):
                assert link[1:] in ids
            else:
                assert (raced[1].parent / link).exists(), link

    def test_every_image_is_svg_with_a_description(self, html):
        page = Page(html)
        # 2 duels and 1 overall; of each of 2 tasks 2 learning curves, scores, 2 of tuning, 2
        # speeds, 2 costs, LSTM and relational RNN × 3, attention, gradients; 2 sweeps
        assert len(page.images) == 3 + 2 * (2 + 1 + 2 + 2 + 2 + 2 * 3 + 1 + 1) + 2
        for svg in page.images:
            root = ET.fromstring(svg)
            assert len(list(root.iter("{http://www.w3.org/2000/svg}path"))) > 20
        alts = page.values("img", "alt")
        assert len(alts) == len(set(alts)) == len(page.images)
        assert all(len(alt) > 30 for alt in alts)

    def test_badges_then_conditions_then_the_table_then_the_sentence(self, raced, html):
        page = Page(html)
        _, _, terminal = raced
        text = page.words.partition("A small race A small race ")[2]
        # Nothing but the list of sections is above the first badge.
        assert html.index("</nav>") < html.index('class="badge') < html.index('class="checks"')
        for name in ("relational RNN", "mine"):
            assert re.search(rf"{name} (\? open|– no verdict) against the LSTM", text)
        start = text[: text.index(" A contestant is better on a task if")]
        _, key, sentences = start.partition("it decides nothing. ")
        assert key
        sentences = sentences.removeprefix("†: did not learn. ")
        assert sentences.count("Open, ") + sentences.count("No verdict on ") == 2
        # The terminal's sentences are the page's.
        assert sentences.strip() in " ".join(terminal.split())

    def test_sections_in_order(self, html):
        titles = re.findall(r"<h2>(.*?)</h2>", html)
        assert titles == [
            "Scores",
            "Learning curves",
            "Score against tuning budget",
            "Score against learning rate",
            "Speed of learning",
            "Score against difficulty",
            "Size and cost",
            "Inside the models",
            "Wrong answers",
            "Failures",
            "Plan",
            "How it was run",
        ]

    def test_every_number_of_the_race_is_there(self, raced, html):
        text = Page(html).words
        with (raced[1].parent / "results.csv").open(newline="") as file:
            runs = list(csv.DictReader(file))
        assert len(runs) == 12 + 6 + 12 + 12 + 6  # trials, reruns, finals, tests, trained
        for row in runs:
            if row["stage"] == "final":
                assert f"{int(row['parameters']):,}" in text
                assert f"{int(row['flops_per_step']):,}" in text
                assert formats.number(float(row["score"])) in text
            if row["stage"] == "trial":
                assert formats.number(float(row["validation_score"])) in text
                drawn = json.loads(row["settings"])["learning_rate"]
                assert f"learning rate {drawn}" in text
        for contestant in ("LSTM", "relational RNN", "mine"):
            assert contestant in text
        for rung in [rung for task in raced[0].tasks for rung in task.ladder()]:
            assert rung.name in text
            assert formats.number(rung.score) in text

    def test_says_what_was_planned(self, raced, html):
        text = Page(html).words
        assert raced[0].hash in text
        for fact in (
            COMMAND,
            "0.02 of normalised score",
            "about 8,950 parameters",
            "num_pairs = 2",
            "accuracy, higher is better",
            "learning rate from 0.001 to 0.01, uniform logarithms",
            "batch size 16",
            "mine: lstm_baseline.engine.models:LSTM",
            "length of 2, 6, tested at each, 2 seeds",
            "num_symbols of 4, 5, trained at each, 1 seed",
            "Python 3.",
            "CPU cores",
        ):
            assert fact in text, fact

    def test_the_inside_of_models_is_folded(self, html):
        inside = html[html.index('<section id="inside">') : html.index('<section id="wrong">')]
        folded = re.sub(r"<details.*?</details>", "", inside, flags=re.DOTALL)
        assert "<img" in inside
        assert "<img" not in folded
        assert not re.search(r"<details[^>]* open", inside)
        assert inside.count('<details class="fold">') == 2  # one a task

    def test_a_class_of_one_s_own_is_not_looked_into(self, html):
        text = Page(html).words
        assert text.count("This is no model of the engine") == 2
        assert "cannot be shown" not in text

    def test_failures_are_counted(self, html):
        # One sweep run, at the task's own value, is a final run.
        assert (
            "Failed: 0 of 12 final runs, 0 of 12 tuning trials, 0 of 6 tuning reruns and 0 of 3 "
            "sweep runs."
        ) in Page(html).words

    def test_the_compute_is_that_of_every_run_on_disk(self, raced):
        folder = raced[1].parent
        results = [json.loads(path.read_text()) for path in folder.glob("runs/*/result.json")]
        total = next(
            line
            for line in (folder / "checklist.md").read_text(encoding="utf-8").splitlines()
            if line.startswith("| all | all |")
        )
        hours = sum(result["seconds"] for result in results) / 3600
        assert total == f"| all | all | {len(results)} | 0 | {formats.number(hours)} |"

    def test_is_small(self, html):
        assert len(html.encode()) < 1_500_000


@pytest.mark.usefixtures("svg_only")
class TestWords:
    def test_a_win_with_what_it_rests_on(self, tmp_path):
        runs = {
            "lstm": [run(0.7 + k / 1000) for k in range(8)],
            "mine": [run(0.9 + k / 1000) for k in range(8)],
        }
        text = written(tmp_path, race(runs, rule=QUICK)).words
        sentence = "mine wins against the LSTM: better on made-up (8 paired seeds, 300 steps)."
        start, _, _ = text.partition(f"{sentence} A contestant is better on a task if")
        assert (
            "mine ↑ wins against the LSTM 8 paired seeds: a first look; nothing tuned; no run "
            "failed. ↑ 1 better : made-up"
        ) in start
        assert (
            "made-up ↑ better 0.400 0.400 to 0.400 ✓ p 0.00781 ≤ 0.05 "
            "✓ nearer end of the interval 0.400 > 0.02"
        ) in start
        cells = "0.704 ± 0.002 0.903 ± 0.002 ↑ better best mean"
        assert f"made-up accuracy, higher is better {cells}" in start
        assert (
            "made-up: mine is better , by 0.400 (95% interval 0.400 to 0.400, p = 0.00781)" in text
        )
        row = "mine 0.903 ± 0.002 0.807 ± 0.005 8 of 8 63–100% 0.400 0.400 to 0.400 0.00781 1.00"
        assert f"{row} 0.63 to 1.00" in text
        assert "LSTM 0.704 ± 0.002 0.407 ± 0.005 8 of 8 63–100% the baseline" in text

    @pytest.mark.parametrize(
        ("match", "unit"), [("state", "numbers of state"), ("flops", "operations a step")]
    )
    def test_what_was_made_equal(self, tmp_path, match, unit):
        runs = {"lstm": [run(0.7), run(0.8)], "gru": [run(0.8), run(0.7)]}
        outcome = race(runs, match=match)
        text = written(tmp_path, outcome).words
        plan, task = outcome.plan, outcome.plan.tasks[0]
        sizes = [each.size(task, plan.width(task, each), match) for each in plan.contestants]
        few, many = formats.count(min(sizes)), formats.count(max(sizes))
        shown = few if few == many else f"{few} to {many}"
        assert f"on every task their {unit} agree within" in text
        assert f"made-up: {shown} )" in text.replace(").", " )")
        assert f"size as many {unit} as the baseline with about 1,300 parameters" in text
        assert f"{unit} are equal by the plan" in text
        pictures = {path.stem for path in tmp_path.rglob("*score-against-*.svg")}
        assert {name.rpartition("-")[2] for name in pictures} == {
            "parameters",
            "seconds",
            *({"state"} - {match}),
        }

    def test_who_alone_learned_is_said(self, tmp_path):
        runs = {"lstm": [run(0.9), run(0.8)], "relational": [run(0.9), run(0.3)]}
        text = written(tmp_path, race(runs, rule=QUICK)).words
        assert "Open, the relational RNN against the LSTM: undecided on made-up" in text
        assert "made-up: undecided , the LSTM leads by 0.500" in text
        assert "only the LSTM learned it" in text

    def test_what_neither_learned_is_not_compared(self, tmp_path):
        runs = {"lstm": [run(0.3), run(0.3)], "relational": [run(0.4), run(0.3)]}
        text = written(tmp_path, race(runs, rule=QUICK)).words
        assert (
            "No verdict on the relational RNN against the LSTM: neither learned made-up."
        ) in text
        assert "made-up: not compared : neither learned" in text
        assert "0 of 2 0–84% not compared: neither learned" in text

    def test_each_challenger_is_held_against_its_own_duel(self, tmp_path):
        runs = {"lstm": [run(0.3)] * 2, "one": [run(0.3)] * 2, "two": [run(0.9)] * 2}
        text = written(tmp_path, race(runs, rule=QUICK)).words
        assert "one 0.300 ± 0.000 −0.400 ± 0.000 0 of 2 0–84% not compared: neither learned" in text
        assert "two 0.900 ± 0.000 0.800 ± 0.000 2 of 2 16–100% 1.200 unbounded" in text

    def test_failures_with_their_reasons(self, tmp_path):
        runs = {"lstm": [run(0.9), run(None, reason="loss is nan at step 3")]}
        text = written(tmp_path, race(runs, rule=QUICK)).words
        assert "1 failure" in text
        assert "Failed: 1 of 2 final runs." in text
        assert "final run: made-up, LSTM, seed 1: loss is nan at step 3" in text
        assert "0.900 (1 of 2 seeds)" in text

    def test_what_was_not_reached(self, tmp_path):
        runs = {"lstm": [run(0.9, history=[0.2, 0.9]), run(0.6), run(0.6)]}
        text = written(tmp_path, race(runs, rule=QUICK)).words
        assert "threshold 0.750, half way from last one to oracle" in text
        assert "LSTM not reached not reached 1 of 3" in text

    def test_nothing_finished_no_ladder_one_seed(self, tmp_path):
        runs = {"lstm": [run(None, history=[])], "relational": [run(None)]}
        text = written(tmp_path, race(runs, LadderTask(()))).words
        assert "one seed shows what can happen, not what usually does." in text
        assert "The contestant that is ahead" not in text
        assert text.count("No run finished.") == 2

    def test_one_contestant_alone(self, tmp_path):
        task = LadderTask(ERROR_LADDER, higher_is_better=False)
        outcome = race({"lstm": [run(0.1, state_size=None, peak_memory=None)]}, task)
        text = written(tmp_path, outcome).words
        start, found, _ = text.partition("No verdict: the LSTM raced alone.")
        assert found
        table = "test score ● LSTM made-up mean squared error, lower is better 0.100 The score of"
        assert table in start
        assert "best" not in start
        assert "lower is better" in text
        assert "P(better)" not in text
        size = outcome.tasks[0].contestants[0].num_params
        assert f"It has {size:,} parameters." in text

    def test_a_model_that_is_gone_or_damaged(self, raced, tmp_path):
        shutil.copytree(raced[1].parent, tmp_path / "race")
        runs = tmp_path / "race" / "runs"
        for folder in runs.glob("adding--lstm--seed0--*"):
            (folder / MODEL).unlink()
        # The final run, and that of a sweep, which the page does not look into.
        for folder in runs.glob("pair-matching--lstm--seed0--*"):
            (folder / MODEL).write_bytes(b"nonsense")
        plan, *_ = carried_out(tmp_path / "race")
        page = Page((tmp_path / "race" / "index.html").read_text("utf-8"))
        assert plan.hash == raced[0].hash
        assert page.words.count("The trained model cannot be shown: ") == 2


@pytest.mark.slow
@pytest.mark.usefixtures("svg_only")
def test_whatever_a_user_names_is_escaped(tmp_path):
    page = written(tmp_path, hostile(), command=f"run {HOSTILE}")
    assert "script" not in page.tags
    assert page.words.count(HOSTILE) > 30
    assert f"run {HOSTILE}" in page.words
    assert page.open == []
    assert len(page.tags) == len(written(tmp_path, hostile("plain")).tags)


@pytest.mark.usefixtures("svg_only")
def test_no_name_turns_the_reading_direction(tmp_path):
    page = written(tmp_path, hostile("a\u202eb"))
    assert r"a\u202eb" in page.words
    assert "\u202e" not in (tmp_path / "index.html").read_text(encoding="utf-8")


def browse(page, profile, *options):
    """Open a page in Chromium without network; return what it prints and complains of."""
    done = subprocess.run(
        [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--enable-logging=stderr",
            f"--user-data-dir={profile}",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            *options,
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout, [line for line in done.stderr.splitlines() if ":CONSOLE" in line]


def requested(log):
    """Return what a page itself, and not the browser, asked the network for."""
    found = json.loads(log.read_text())
    start = found["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    asked = [event.get("params", {}) for event in found["events"] if event["type"] == start]
    return [
        each["url"]
        for each in asked
        if "url" in each  # where a request starts, not where it ends
        and each["initiator"] != "not an origin"
        and not each["url"].startswith("file:")
    ]


@pytest.fixture(scope="session")
def good(raced):
    """Return the page of a race as it should be."""
    return raced[1]


@pytest.fixture(scope="session")
def bad(tmp_path_factory):
    """Return the page of a race in which everything is as bad as it can be."""
    return write_report(hostile(), tmp_path_factory.mktemp("bad"), f"run {HOSTILE}")


@pytest.fixture
def page_path(kind, request):
    return request.getfixturevalue(kind)


@needs_browser
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["good", "bad"])
class TestInABrowser:
    def test_no_error_and_no_request(self, page_path, tmp_path):
        log = tmp_path / "net.json"
        _, complaints = browse(
            page_path, tmp_path / "profile", f"--log-net-log={log}", "--dump-dom"
        )
        assert complaints == []
        assert requested(log) == []

    @pytest.mark.parametrize("width", [360, 1200])
    def test_every_figure_shows_and_nothing_is_wider_than_the_page(
        self, page_path, tmp_path, width
    ):
        probe = """<script>
        addEventListener("load", async () => {
          document.querySelectorAll("details").forEach((each) => { each.open = true; });
          const images = [...document.images];
          await Promise.all(images.map((image) => image.decode()));
          const shown = images.filter((i) => i.naturalWidth > 100 && i.clientWidth > 100);
          parent.postMessage([images.length, shown.length,
            document.documentElement.scrollWidth, innerWidth].join(" "), "*");
        });</script></body>"""
        html = page_path.read_text(encoding="utf-8")
        probed = re.sub(r"<meta http-equiv.*?>", "", html).replace("</body>", probe)
        (tmp_path / "probed.html").write_text(probed, encoding="utf-8")
        # No window is as narrow as a telephone, but a frame is.
        frame = tmp_path / "frame.html"
        frame.write_text(
            f"""<!DOCTYPE html><title>nothing</title><script>
            onmessage = (event) => {{ document.title = event.data; }};</script>
            <iframe src="probed.html" style="width:{width}px; height:900px; border:0"></iframe>"""
        )
        dom, _ = browse(
            frame,
            tmp_path / "profile",
            "--window-size=1400,1000",
            "--virtual-time-budget=9000",
            "--dump-dom",
        )
        title = dom[dom.index("<title>") + 7 : dom.index("</title>")]
        count = len(Page(html).images)
        assert title == f"{count} {count} {width} {width}"

    def probed(self, page_path, tmp_path, width, script):
        """Return what a script on the page, in a frame of some width, reports as a text."""
        html = re.sub(r"<meta http-equiv.*?>", "", page_path.read_text(encoding="utf-8"))
        probe = f"""<script>addEventListener("load", async () => {{
          const report = (what) => parent.postMessage(String(what), "*");
          {script}
        }});</script></body>"""
        (tmp_path / "probed.html").write_text(html.replace("</body>", probe), encoding="utf-8")
        frame = tmp_path / "frame.html"
        frame.write_text(
            f"""<!DOCTYPE html><title>nothing</title><script>
            onmessage = (event) => {{ document.title = event.data; }};</script>
            <iframe src="probed.html" style="width:{width}px; height:900px; border:0"></iframe>"""
        )
        options = ("--window-size=1400,1000", "--virtual-time-budget=9000", "--dump-dom")
        dom, _ = browse(frame, tmp_path / "profile", *options)
        return dom[dom.index("<title>") + 7 : dom.index("</title>")]

    @pytest.mark.parametrize("width", [360, 1200])
    def test_sections_stay_in_view_and_cover_no_heading(self, page_path, tmp_path, width):
        script = """
          const nav = document.querySelector("nav"), found = [];
          for (const link of nav.querySelectorAll("a")) {
            if (link.hash === "#how") continue;  // too near the end to be scrolled to the top
            const target = document.querySelector(link.hash);
            target.scrollIntoView();
            const bar = nav.getBoundingClientRect();
            const heading = (target.querySelector("h2") || target).getBoundingClientRect();
            found.push(Math.abs(bar.top) < 1 && bar.height < 60 && heading.top >= bar.bottom - 1);
          }
          report(found.every((each) => each) ? `fine ${found.length > 6}` : found.join(" "));"""
        assert self.probed(page_path, tmp_path, width, script) == "fine true"

    @pytest.mark.parametrize(("width", "hint"), [(360, True), (1200, False)])
    def test_what_is_wider_than_a_telephone_says_that_it_scrolls(
        self, page_path, tmp_path, width, hint
    ):
        script = """
          document.querySelectorAll("details").forEach((each) => { each.open = true; });
          // On a wide screen, too, something may be wider than the page.
          if (innerWidth > 640) document.body.style.maxWidth = "20rem";
          await new Promise((done) => setTimeout(done, 500));
          const wrong = [...document.querySelectorAll(".wide, .one")].filter((each) => {
            const style = getComputedStyle(each, "::before");
            const shown = style.display !== "none" && style.visibility !== "hidden";
            return shown !== (HINT && each.scrollWidth > each.clientWidth + 1);
          });
          const wide = [...document.querySelectorAll(".one")].map((each) => each.scrollWidth);
          report(`${wrong.length} ${wide.some((each) => each > 400)}`);"""
        script = script.replace("HINT", str(hint).lower())
        assert self.probed(page_path, tmp_path, width, script) == "0 true"

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_ink_and_page_are_far_apart_in_every_figure(self, page_path, tmp_path, scheme):
        """Only figures are left on the page, so what is not page is ink, lines and colours."""
        html = page_path.read_text(encoding="utf-8")
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

    def test_prints(self, page_path, tmp_path):
        path = tmp_path / "page.pdf"
        browse(page_path, tmp_path / "profile", f"--print-to-pdf={path}")
        content = path.read_bytes()
        assert content.startswith(b"%PDF-")
        assert content.count(b"/Type /Page\n") > 3


@needs_browser
def test_the_browser_would_tell(tmp_path):
    """A page that asks for something and complains is seen to do so."""
    page, log = tmp_path / "page.html", tmp_path / "net.json"
    page.write_text('<img src="http://tracker.example/a.png"><script>console.error("no")</script>')
    _, complaints = browse(page, tmp_path / "profile", f"--log-net-log={log}", "--dump-dom")
    assert '"no"' in " ".join(complaints)
    assert requested(log) == ["http://tracker.example/a.png"]
