"""`bnbench report`: one page that is whole, says what compare says, and can be read by anyone anywhere."""

import html
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from handmade import edit, make_run

from bnbench.analysis.arms import collect
from bnbench.analysis.compare import Question, compare
from bnbench.config.load import load_configs
from bnbench.report import plots
from bnbench.report.page import COLOURS, environment, files, page

PNG = b"\x89PNG\r\n\x1a\n"
PANELS = 8  # loss and accuracy, training and validation, by epoch and by seconds
VOID = {"meta", "wbr", "br"}


def make_arm(folder, name, accuracies, *, norm="none", momentum=None, **about):
    """Runs of one arm, a seed each, with their configs."""
    config = {
        "model": {"type": "mlp", "hidden": [100]},
        "norm": {"type": norm, **({} if momentum is None else {"momentum": momentum})},
        "train": {"epochs": about.get("epochs") or len(accuracies[0]), "optimizer": {"type": "sgd", "lr": 0.1}},
    }
    for seed, of_seed in enumerate(accuracies):
        path = make_run(folder, name, seed, of_seed, config=config, **about)
        edit(path, provenance={"bnbench": "0.1.0", "commit": "c0ffee", "python": "3.11.7", "cores": 2 + seed % 2})


def make_results(folder):
    make_arm(folder, "plain", [[0.90, 0.95, 0.94], [0.91, 0.93, 0.96], [0.92, 0.93, 0.95]])
    make_arm(folder, "bn", [[0.93, 0.96, 0.97], [0.92, 0.95, 0.97], [0.93, 0.94, 0.96]], norm="batch")
    make_arm(folder, "slow", [[0.80, 0.85, 0.88]] * 2, norm="batch", momentum=0.01)
    return folder


@pytest.fixture
def results(tmp_path):
    return make_results(tmp_path / "r")


@pytest.fixture(scope="module")
def standard(tmp_path_factory):
    """The page of `results`, made once for the tests that only read it."""
    folder = make_results(tmp_path_factory.mktemp("standard") / "r")
    text = page(compare(collect([folder]), Question()))
    (folder.parent / "page.html").write_text(text, encoding="utf-8")
    return folder.parent / "page.html"


class Page(HTMLParser):
    """Reads a page, and fails where an element is not closed in its turn."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.text, self.rows = [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)
        if {"th", "td"} & set(self.open):
            self.rows[-1][-1] += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def written(bnbench, *arguments):
    result = bnbench("report", *arguments, "-o", "page.html")
    assert result.exit_code == 0, result.stderr
    text = Path("page.html").read_text(encoding="utf-8")
    return Page(text), text


def alternatives(text):
    return [html.unescape(found) for found in re.findall(r"<desc [^>]*>([^<]+)</desc>", text)]


def test_the_tables_are_those_of_compare(bnbench, results):
    seen, _ = written(bnbench, results)
    lines = bnbench("compare", results, "--format", "markdown", "--explain").stdout.split("\n")
    heading, _, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| ")]
    assert len(rows) == 3 and seen.rows[:4] == [heading, *rows]
    for line in lines:
        if line.startswith("- ") and "95 % intervals" not in line:
            assert line.removeprefix("- ") in seen.text


def test_every_picture_says_its_numbers_in_words(standard):
    seen = Page(text := standard.read_text())
    pictures = [svg for svg in seen.all("svg") if svg.get("role") == "img"]
    assert len(pictures) == len(seen.all("figure")) == len(alternatives(text)) == PANELS + 2
    ids = [attributes["id"] for _, attributes in seen.elements if "id" in attributes]
    for svg in pictures:
        assert len(svg["aria-labelledby"].split()) == 2 and set(svg["aria-labelledby"].split()) <= set(ids)
    assert all(svg.get("role") == "img" or svg.get("aria-hidden") == "true" for svg in seen.all("svg"))
    said = {sentence.split(",")[0]: sentence for sentence in alternatives(text)}
    assert "After epoch 3: plain 95.00 ± 2.48 %; bn 96.67 ± 1.43 %; slow" in said["Validation accuracy by epoch"]
    assert "means over 2 to 3 seeds, with bands of 95 % over seeds." in said["Validation accuracy by epoch"]
    assert "plain 0.3333 ± 0.0000 after 15.0 s;" in said["Training loss by seconds"]
    assert "bn +1.67 [-0.20, +3.54]" not in text and "slow -7.00 [-19.71, +5.71]" not in text  # both are ~
    assert "bn ~ [-1.20, +4.54] (3 pairs); slow ~ [-19.71, +5.71] (2 pairs)" in text


def test_bands_are_drawn_and_the_paper_shows_through(standard):
    text = standard.read_text()
    assert text.count("fill-opacity: 0.12") == 2 * PANELS // 2  # the losses of every seed are the same, and slow's all
    assert text.count("#ffffff") == text.count("--paper: #ffffff") == 1


def test_seeds_that_do_not_pair_are_in_no_difference_by_seed(bnbench, results):
    digest = collect([results]).arms()[0].digest
    make_run(results, "bn", 7, [0.9, 0.9, 0.9], digest=digest)
    assert "bn ~ [-1.20, +4.54] (3 pairs);" in written(bnbench, results)[1]
    for seed in range(3):
        shutil.rmtree(results / "bn" / f"seed-{seed}")
    make_run(results, "bn", 8, [0.9, 0.9, 0.91], digest=digest)
    text = written(bnbench, results, "--baseline", "plain")[1]
    assert re.search(r"intervals over seeds: bn -4.50 [^;]* unpaired; slow ~ [^;]* \(2 pairs\)\.", text)


def test_ids_are_unique_and_what_is_referred_to_is_there(standard):
    seen = Page(text := standard.read_text())
    ids = [attributes["id"] for _, attributes in seen.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    referred = re.findall(r'(?:href="|url\()#([^")]+)', text)
    assert len(referred) > 50 and set(referred) <= set(ids)


def test_nothing_is_fetched_and_nothing_runs(standard):
    seen = Page(text := standard.read_text())
    assert len(seen.all("style")) == 1  # one in a picture would be of the whole page
    assert not seen.all("script") and not seen.all("link") and not seen.all("img") and not seen.all("iframe")
    for tag, attributes in seen.elements:
        assert not [name for name in attributes if name.startswith("on")], tag
        for name in ("src", "href", "xlink:href", "action", "data", "srcset"):
            assert attributes.get(name, "#").startswith("#"), tag
    assert not re.search(r"@import|url\((?!#)|javascript:|https?:", text)


def test_headings_are_in_order_and_tables_have_heads(standard):
    seen = Page(standard.read_text())
    levels = [int(tag[1]) for tag, _ in seen.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert len(seen.all("caption")) == len(seen.all("table")) == 2
    assert all(attributes.get("scope") in ("col", "row") for attributes in seen.all("th"))
    assert seen.all("html") == [{"lang": "en"}]


def test_the_same_results_are_the_same_bytes(standard, tmp_path):
    first, again = standard.read_text(), tmp_path / "again.html"
    command = [sys.executable, "-m", "bnbench", "report", str(standard.parent / "r"), "-o", str(again)]
    elsewhere = {**os.environ, "TZ": "Asia/Tokyo", "PYTHONHASHSEED": "1"}
    subprocess.run(command, check=True, capture_output=True, env=elsewhere)
    assert again.read_text() == first
    assert not re.search(r"matplotlib|20\d\d-\d\d-\d\d", first)


def test_a_persons_own_matplotlib_settings_count_for_nothing(bnbench, standard):
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "lines.linewidth": 9}):
        assert written(bnbench, standard.parent / "r")[1] == standard.read_text()


def test_each_config_can_be_run_as_it_stands(standard, tmp_path):
    text = standard.read_text()
    names = re.findall(r"<summary><code>([^<]+)</code>: seeds ([^<]+)</summary>", text)
    assert names == [("plain.yaml", "0..2"), ("bn.yaml", "0..2"), ("slow.yaml", "0..1")]
    configs = re.findall(r"<details>.*?<pre><code>(.*?)</code></pre>", text, flags=re.DOTALL)
    arms = {arm.name: arm for arm in collect([standard.parent / "r"]).arms()}
    for (name, _), config in zip(names, configs, strict=True):
        (tmp_path / name).write_text(html.unescape(config))
        loaded = load_configs([tmp_path / name], [], name=None, seeds=None, smoke=False)
        (config,) = loaded
        assert config.seeds == [run.seed for run in arms[config.name].runs()]
        assert config.digest() == arms[name.removesuffix(".yaml")].digest
    assert "bnbench run plain.yaml bn.yaml slow.yaml --out results\nbnbench report results</code>" in text


def test_options_are_asked_and_repeated(bnbench, results):
    _, text = written(bnbench, results, "--metric", "valid_loss", "--at", "best", "--baseline", "bn")
    assert "bnbench report results --metric valid_loss --at best --baseline bn</code>" in text
    assert "Best validation loss minus bn" in text and "Learning curves against bn" in text
    assert "Validation loss after epoch 2 minus" in written(bnbench, results, "--metric", "valid_loss", "--at", "2")[1]


def test_images_read_only_once_have_points_and_no_curve(bnbench, tmp_path):
    make_arm(tmp_path / "r", "plain", [[0.9, 0.8]] * 2, test=0.85)
    make_arm(tmp_path / "r", "bn", [[0.9, 0.8]] * 2, norm="batch", test=0.86)
    seen, text = written(bnbench, tmp_path / "r", "--metric", "test_accuracy")
    assert len(seen.all("figure")) == PANELS + 2 and "--metric test_accuracy</code>" in text
    assert (
        "Test accuracy of each seed, %, with means and 95 % intervals over seeds: plain 85.00 ± 0.00 (2 seeds); bn"
        in text
    )


def test_two_configs_of_one_name_are_kept_apart(bnbench, tmp_path):
    make_arm(tmp_path / "x", "a", [[0.5]])
    make_arm(tmp_path / "y", "a", [[0.6]], norm="batch")
    _, text = written(bnbench, tmp_path / "x", tmp_path / "y")
    assert "bnbench run a.yaml --out results\nbnbench run a-2.yaml --out results-2\n" in text
    assert re.search(r"<code>a-2.yaml</code>, of a#[0-9a-f]{6}: seeds 0<", text)


def test_the_environment_counts_what_differs(standard):
    runs = [run for arm in collect([standard.parent / "r"]).arms() for run in arm.complete]
    shown = dict(environment(runs))
    assert shown["python"] == ["3.11.7"]
    assert shown["cores"] == ["2 (5 of 8 runs)", "3 (3 of 8 runs)"]


HOSTILE = {
    "<b>key": "<script>alert(1)</script>",
    "commit": 'x" onload="alert(1)',
    "escapes": "\x1b[2J\x07\u202e",
    "surrogate": "\ud800",
    "huge": "y" * 1_000_000,
    "deep": [[[{"a": None, "<i>": float("nan")}]]],
    "{{ 7 * 6 }}": "{{ 7 * 6 }}{% raw %}",
    "comment": "--><!--",
    "null": None,
}


def test_provenance_is_text_whatever_it_holds(bnbench, results):
    edit(results / "bn" / "seed-0", provenance=HOSTILE)
    edit(results / "bn" / "seed-1", provenance={f"key{i}": i for i in range(10_000)})
    seen, text = written(bnbench, results)
    assert not seen.all("script") and not seen.all("bold") and not seen.all("i")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text and "{{ 7 * 6 }}" in "".join(seen.text)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text) and len(text) < 1_000_000
    assert r"\x1b[2J" in text and "onload" not in {name for _, attributes in seen.elements for name in attributes}


def test_paths_are_text_too_and_no_digest_is_a_colour(bnbench, tmp_path):
    make_run(tmp_path / "<i>&\x1b", "a", 0, [0.5, 0.6], digest="bd")
    make_run(tmp_path / "<i>&\x1b", "b", 0, [0.5], status="diverged", epochs=2)
    make_run(tmp_path / "y", "a", 0, [0.5, 0.6], digest="3a50e0ff")
    result = bnbench("report", tmp_path, "-o", "page.html", "--figures", "figures")
    assert result.exit_code == 0
    text = (tmp_path / "page.html").read_text()
    seen = Page(text)
    assert not seen.all("i") and "\x1b" not in text and "diverged after epoch 1" in text
    assert text.count("a#3a50e0") > 10 and "a#bd" in text  # which is also the colour of a line
    for path in (tmp_path / "figures").glob("*.svg"):
        ET.parse(path)


def test_one_seed_has_no_band_and_one_epoch_is_seen(bnbench, tmp_path):
    make_arm(tmp_path / "r", "plain", [[0.9]])
    seen, text = written(bnbench, tmp_path / "r")
    assert len(seen.all("figure")) == PANELS + 1  # nothing to compare with
    assert "After epoch 1: plain 90.00 %." in text
    assert "fill-opacity: 0.12" not in text and len(seen.all("use")) >= PANELS  # markers
    make_arm(tmp_path / "r", "bn", [[0.9], [0.8]], norm="batch")
    text = written(bnbench, tmp_path / "r")[1]  # in one epoch a band would have no width
    assert "fill-opacity: 0.12" not in text and "bn 85.00 [21.47, 100.00]* %" in text and "<b>*</b>" in text


def test_diverged_runs_are_told_of_and_in_no_curve(bnbench, results):
    make_run(results, "bn", 3, [0.1], status="diverged", epochs=3, digest=collect([results]).arms()[0].digest)
    make_arm(results, "lost", [[0.1]], norm="layer", status="diverged", epochs=3)
    seen, text = written(bnbench, results)
    assert "bn (3 + 1 diverged runs)" in seen.text and "lost (0 + 1 diverged runs): no line" in seen.text
    assert "Diverged runs are in no mean: bn (3 + 1 diverged), lost (0 + 1 diverged)." in alternatives(text)[0]
    assert "lost 1" not in alternatives(text)[0] and "diverged after epoch 1, so not in any mean" in text


def test_where_every_run_diverged_the_page_says_so(bnbench, tmp_path):
    make_arm(tmp_path / "r", "lost", [[0.1]], status="diverged", epochs=3)
    seen, text = written(bnbench, tmp_path / "r")
    assert not seen.all("figure") and "no run is complete: lost." in text


def test_extreme_values_are_drawn(bnbench, tmp_path):
    for accuracy in (0.01, 1.0):
        make_arm(tmp_path / "r", f"a{accuracy:.0f}", [[accuracy, accuracy]] * 2)
    path = make_run(tmp_path / "r", "worst", 0, [0.5, 0.5])
    rows = [
        {"epoch": epoch, "train_loss": 1000.0, "train_accuracy": 0.0, "valid_loss": 0.0, "valid_accuracy": 1.0}
        for epoch in (1, 2)
    ]
    lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows), ""]
    (path / "metrics.csv").write_text("\n".join(lines))
    edit(path, final=rows[1])
    seen, _ = written(bnbench, tmp_path / "r")
    assert all(arm in seen.text for arm in ("a0", "a1", "worst")) and "left out" not in seen.text


def test_many_arms_are_cut_so_that_lines_stay_tellable(bnbench, tmp_path):
    make_arm(tmp_path / "r", "plain", [[0.9]])
    for number in range(1, 20):
        make_arm(tmp_path / "r", f"bn{number:02}", [[0.9]], norm="batch", momentum=number / 20)
    seen, text = written(bnbench, tmp_path / "r")
    assert len(seen.all("figure")) == 4 * PANELS + 2 * 2 + 1  # the momentum is a sweep
    for part in range(1, 5):
        assert f"Learning curves against plain, {part} of 4" in text
    assert seen.text.count("plain (baseline)") == 4 + 2 and all(f"bn{n:02}" in seen.text for n in range(1, 20))
    (table,) = compare(collect([tmp_path / "r"]), Question()).tables
    for rows in plots.cut(table.rows, plots.LINES):
        looks = [key.look for key in plots.keys(rows)]
        for trait in ("color", "linestyle", "marker"):
            assert len({str(look[trait]) for look in looks[1:]}) == len(looks) - 1
        assert looks[0]["color"] == plots.BASELINE


# Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB.
COLOUR_BLIND = {
    "none": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def linear(colour):
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ np.clip(rgb, 0, 1)
    x, y, z = (np.cbrt(v) if v > 0.008856 else 7.787 * v + 16 / 116 for v in xyz / [0.9505, 1, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def contrast(a, b):
    dark, light = sorted(float(linear(colour) @ [0.2126, 0.7152, 0.0722]) for colour in (a, b))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("place", [1, 2], ids=["light", "dark"])
def test_colours_stay_apart_in_every_kind_of_colour_blindness(standard, place):
    paper = re.findall(r"--paper: (#[0-9a-f]{6})", standard.read_text())[place - 1]
    of = {values[0]: values[place] for values in COLOURS.values()}
    lines = [colour for name, colour in of.items() if name not in ("ink", "rule")]
    assert len(lines) == 7
    for kind, matrix in COLOUR_BLIND.items():
        seen = [lab(np.array(matrix) @ linear(colour)) for colour in lines]
        assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 22, kind
    assert min(contrast(colour, paper) for colour in lines) > 3 and contrast(of["ink"], paper) > 7


def test_figures_are_svg_and_png(bnbench, results, tmp_path):
    result = bnbench("report", results, "-o", "page.html", "--figures", "deep/figures")
    paths = sorted((tmp_path / "deep" / "figures").iterdir())
    assert len(paths) == 2 * (PANELS + 2) and f"deep/figures: {len(paths)} files" in result.stdout
    assert all(re.fullmatch(r"1-mnist-3-epochs-\d\d-[a-z_-]+\.(svg|png)", path.name) for path in paths)
    for path in paths:
        if path.suffix == ".png":
            assert path.read_bytes().startswith(PNG)
        else:
            text = " ".join("".join(ET.parse(path).getroot().itertext()).split())
            assert "date>" not in path.read_text() and "#ffffff" in path.read_text()
            assert "3 epochs" in text and "plain" in text and "slow" in text
    again = files(compare(collect([results]), Question()).tables)
    assert all((paths[0].parent / name).read_bytes() == image for name, image in itertools.islice(again, 2))


def test_what_is_written_is_said(bnbench, results, tmp_path):
    make_run(results, "bn", 7, [0.5], status="interrupted", epochs=3)
    result = bnbench("report", results)
    size = (tmp_path / "report.html").stat().st_size
    assert result.stdout == f"report.html: {size / 1e6:.1f} MB\n" and "left out, not finished" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["r", "-o", "r"], 2, "--output r: is a folder; name a file, as in r/report.html"),
        (["r", "-o", "none/page.html"], 2, "--output none/page.html: there is no folder none; make it first"),
        (["r", "--figures", "file"], 2, "--figures file: is a file; name a folder"),
        (["nowhere"], 3, "no finished run to compare"),
        (["r", "--at", "9"], 2, "--at 9 is beyond its last epoch"),
        (["r", "--at", "0"], 2, "--at 0: must be final, best or an epoch"),
        (["r", "--baseline", "plian"], 2, "did you mean plain?"),
    ],
)
def test_what_cannot_be_is_a_sentence_and_nothing_is_written(bnbench, results, tmp_path, arguments, code, message):
    (tmp_path / "file").write_text("")
    before = sorted(tmp_path.rglob("*"))
    result = bnbench("report", *arguments)
    assert result.exit_code == code and message in result.stderr and result.stdout == ""
    assert sorted(tmp_path.rglob("*")) == before


def test_a_page_that_cannot_be_written_leaves_the_old_one(bnbench, results, tmp_path, monkeypatch):
    from bnbench import files as writing

    def full(path, contents):
        raise OSError(28, "No space left on device", f".{path.name}.tmp")

    (tmp_path / "page.html").write_text("old")
    monkeypatch.setattr(writing, "write_atomic", full)
    result = bnbench("report", results, "-o", "page.html")
    assert result.exit_code == 3 and result.stderr == "bnbench: page.html cannot be written: No space left on device\n"
    assert (tmp_path / "page.html").read_text() == "old"


def test_report_imports_no_torch_and_no_pyplot(results, tmp_path):
    code = (
        "import sys; from bnbench.cli import app\n"
        f"try: app(['report', {str(results)!r}, '-o', {str(tmp_path / 'page.html')!r}])\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'torchvision', 'mlxtend', 'matplotlib.pyplot'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.endswith("[]\n") and (tmp_path / "page.html").exists()


# In a browser.

CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: a command `chromium` on the PATH")
MEASURE = """<!DOCTYPE html><title>measure</title>
<iframe src="{page}" style="border: 0; width: {width}px; height: 800px"></iframe>
<pre></pre><script>
document.querySelector("iframe").onload = (event) => {{
  const page = event.target.contentDocument;
  const hidden = [...page.querySelectorAll("figure svg")].filter((svg) => svg.getBoundingClientRect().height < 100);
  const seen = event.target.contentWindow.getComputedStyle(page.body);
  document.querySelector("pre").textContent = JSON.stringify({{
    scroll: page.documentElement.scrollWidth, figures: page.querySelectorAll("figure svg").length,
    hidden: hidden.length, tables: page.querySelectorAll("table").length, background: seen.backgroundColor,
    text: Math.min(...[...page.querySelectorAll("figure svg")].map((svg) => {{
      const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
      return Math.min(...[...svg.querySelectorAll("text")].map((text) => scale * parseFloat(text.style.fontSize)));
    }})),
  }});
}};
</script>"""


def browse(tmp_path, url, *options):
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--allow-file-access-from-files"]
    command += ["--enable-logging=stderr", "--v=0", "--virtual-time-budget=5000", *options, "--dump-dom", url]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return result.stdout, [line for line in result.stderr.split("\n") if "CONSOLE" in line]


@needs_chromium
def test_a_browser_shows_all_of_it_without_a_word_on_the_console(standard, tmp_path):
    dom, console = browse(tmp_path, standard.as_uri())
    assert console == [] and dom.count("<figure>") == PANELS + 2 and dom.count("<table>") == 2
    assert 'role="img"' in dom


@needs_chromium
def test_the_console_would_be_heard(tmp_path):
    (tmp_path / "bad.html").write_text('<script>nothing()</script><svg viewBox="x"></svg><img src="gone.png">')
    _, console = browse(tmp_path, (tmp_path / "bad.html").as_uri())
    assert any("nothing is not defined" in line for line in console) and any("viewBox" in line for line in console)


@needs_chromium
@pytest.mark.parametrize(("width", "dark"), [(390, False), (390, True), (1280, True)])
def test_no_page_scrolls_sideways_and_all_can_be_read(bnbench, results, tmp_path, width, dark):
    make_arm(results, "a-very-long-name,norm.type=batch,norm.momentum=0.25", [[0.5] * 3], norm="batch", momentum=0.25)
    written(bnbench, results)
    (tmp_path / "measure.html").write_text(MEASURE.format(page="page.html", width=width))
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    dom, console = browse(tmp_path, (tmp_path / "measure.html").as_uri(), scheme, "--window-size=1400,900")
    seen = json.loads(html.unescape(re.search(r"<pre>(.*?)</pre>", dom)[1]))
    assert console == [] and seen["scroll"] <= width
    assert seen["figures"] == PANELS + 3 and seen["hidden"] == 0 and seen["tables"] == 2  # the momentum is a sweep
    assert seen["text"] >= (10.5 if width == 390 else 9.5)  # pixels
    assert seen["background"] == ("rgb(20, 23, 28)" if dark else "rgb(255, 255, 255)")


def test_only_a_regular_file_outside_of_runs_is_replaced(bnbench, results, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    result = bnbench("report", results, "-o", "pipe")
    assert result.exit_code == 2 and "is not a regular file" in result.stderr and (tmp_path / "pipe").is_fifo()
    run = next(results.glob("*/seed-*"))
    before = (run / "run.json").read_bytes()
    result = bnbench("report", results, "-o", run / "run.json")
    assert result.exit_code == 2 and "is a run's folder" in result.stderr and (run / "run.json").read_bytes() == before
    (tmp_path / "there.html").write_text("old")
    (tmp_path / "link.html").symlink_to("there.html")
    assert bnbench("report", results, "-o", "link.html").exit_code == 0
    assert (tmp_path / "link.html").is_symlink() and "<table>" in (tmp_path / "there.html").read_text()
