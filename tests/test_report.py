"""`bnbench report`: one page that is whole, says what compare says, and can be read by anyone anywhere."""

import html
import itertools
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
from markupsafe import Markup

from bnbench.analysis.arms import collect
from bnbench.analysis.compare import Question, compare
from bnbench.config.load import load_configs
from bnbench.report.charts.palette import ARMS, values
from bnbench.report.facts import environment
from bnbench.report.family import chapters
from bnbench.report.figures import files
from bnbench.report.page import Section, page

PNG = b"\x89PNG\r\n\x1a\n"
FIGURES = 8  # differences, seeds, the ratio of losses, four curves by epoch, one by seconds
WIDTHS = 3  # drawings of each figure
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
    return [html.unescape(found) for found in re.findall(r'<p class="unseen" [^>]*>([^<]+)</p>', text)]


def words(cells):
    return " ".join(" ".join(cells).split())


def test_the_page_says_what_compare_says(bnbench, results):
    seen, _ = written(bnbench, results)
    lines = bnbench("compare", results, "--format", "markdown", "--explain").stdout.split("\n")
    heading, _, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| ")]
    assert len(rows) == 3
    for row in rows:
        said = words(words(cells) for cells in seen.rows if cells[0].split() == [row[0]])
        for name, cell in zip(heading, row, strict=True):
            if "." in name:  # a setting may stand in the sentence above the table
                continue
            numbers = re.findall(r"[-+]?[0-9.]+", cell) if name == "difference" else [cell]
            assert all(number in said for number in numbers), (name, cell)
    for line in lines:
        if line.startswith("- ") and "95 % intervals" not in line:
            assert line.removeprefix("- ") in seen.text


def test_the_page_leads_with_the_verdict_and_folds_how_to_read_it(tmp_path):
    make_arm(tmp_path / "r", "mlp_none", [[0.90, 0.90 + seed / 1000] for seed in range(8)])
    make_arm(tmp_path / "r", "mlp_bn", [[0.95, 0.92 + seed / 900] for seed in range(8)], norm="batch")
    text = page(compare(collect([tmp_path / "r"]), Question()))
    headline = re.search(r"<h2[^>]*>(.*?)</h2>", text)[1]
    assert re.sub("<[^>]*>", "", headline) == "bn ends ahead of none by 2.04 points."
    order = ["<h2", "minus none", "<table", "Seed by seed", "accuracy by epoch", "<details", "How to read this page"]
    places = [text.index(what, text.index("<main>")) for what in order]
    assert places == sorted(places)


def test_every_picture_says_its_numbers_in_words(standard):
    seen = Page(text := standard.read_text())
    pictures = [svg for svg in seen.all("svg") if svg.get("role") == "img"]
    assert len(pictures) == len(seen.all("svg")) == WIDTHS * FIGURES
    assert len(seen.all("figure")) == len(alternatives(text)) == FIGURES
    ids = [attributes["id"] for _, attributes in seen.elements if "id" in attributes]
    assert all({svg["aria-labelledby"], svg["aria-describedby"]} <= set(ids) for svg in pictures)
    said = {sentence.split(",")[0]: sentence for sentence in alternatives(text)}
    assert "After epoch 3: plain 95.00 ± 2.48 %; bn 96.67 ± 1.43 %; slow" in said["Validation accuracy by epoch"]
    assert "means over 2 to 3 seeds, with 95 % intervals over seeds." in said["Validation accuracy by epoch"]
    assert "plain 95.00 ± 2.48 % after" in said["Validation accuracy by seconds"]
    assert "bn ~ [-1.20, +4.54] (3 pairs); slow ~ [-19.71, +5.71] (2 pairs)" in text
    lead = next(sentence for sentence in alternatives(text) if "minus plain's after each epoch" in sentence)
    assert "bn +1.67, +1.33, +1.67; slow -10.50, -9.00, -7.00." in lead


def test_seconds_are_folded_and_each_arm_has_its_median_epoch(standard):
    """A machine that is busy for an epoch does not bend a curve: epoch k ends at k median epochs."""
    text = standard.read_text()
    of = next(sentence for sentence in alternatives(text) if "by seconds" in sentence)
    assert "plain 95.00 ± 2.48 % after 15.0 s;" in of  # epochs of 3 to 7 s, whose median is 5
    start = text.index("<summary>Time and other numbers")
    assert text.index("by seconds") > start and text.index("s/epoch") > start


def test_an_arm_has_one_colour_on_the_whole_page(tmp_path):
    for start, epochs in (("long", 3), ("short", 2)):
        for norm in ("none", "layer", "batch") if epochs == 3 else ("none", "batch", "layer"):
            better = 0.01 * ((norm == "batch") == (epochs == 3))
            accuracies = [[0.9 + seed / 1000 + better] * epochs for seed in range(3)]
            make_arm(tmp_path / "r", f"{start}_{norm}", accuracies, norm=norm)
    found = chapters(compare(collect([tmp_path / "r"]), Question()).tables)
    first, second = (
        {family.names[label]: look for label, look in family.looks.items()} for (family,) in (c.families for c in found)
    )
    assert first == second and first["none"].colour == "baseline" and first["batch"] != first["layer"]


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
    referred += [attributes["aria-labelledby"] for attributes in seen.all("svg")]
    assert len(referred) > 20 and set(referred) <= set(ids)


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
    assert len(seen.all("caption")) == len(seen.all("table")) == 3
    assert all(attributes.get("scope") in ("col", "row") for attributes in seen.all("th"))
    assert seen.all("html") == [{"lang": "en"}]


def test_the_same_results_are_the_same_bytes(standard, tmp_path):
    first, again = standard.read_text(), tmp_path / "again.html"
    command = [sys.executable, "-m", "bnbench", "report", str(standard.parent / "r"), "-o", str(again)]
    elsewhere = {**os.environ, "TZ": "Asia/Tokyo", "PYTHONHASHSEED": "1"}
    subprocess.run(command, check=True, capture_output=True, env=elsewhere)
    assert again.read_text() == first
    assert not re.search(r"20\d\d-\d\d-\d\d", first)


def test_a_persons_own_matplotlib_settings_count_for_nothing(standard):
    tables = compare(collect([standard.parent / "r"]), Question()).tables
    plain = dict(itertools.islice(files(tables), 2))
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "lines.linewidth": 9}):
        assert dict(itertools.islice(files(tables), 2)) == plain


def test_each_config_can_be_run_as_it_stands(standard, tmp_path):
    text = standard.read_text()
    names = re.findall(r"<summary><code>([^<]+)</code>: seeds ([^<]+)</summary>", text)
    assert names == [("plain.yaml", "0..2"), ("bn.yaml", "0..2"), ("slow.yaml", "0..1")]
    configs = re.findall(r"<pre><code>(.*?)</code></pre>", text, flags=re.DOTALL)[:-1]  # the last are commands
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
    assert "Best validation loss minus bn" in text and "against bn" in text
    assert "Validation loss after epoch 2 minus" in written(bnbench, results, "--metric", "valid_loss", "--at", "2")[1]


def test_images_read_only_once_have_points_and_no_curve(bnbench, tmp_path):
    make_arm(tmp_path / "r", "plain", [[0.9, 0.8]] * 2, test=0.85)
    make_arm(tmp_path / "r", "bn", [[0.9, 0.8]] * 2, norm="batch", test=0.86)
    seen, text = written(bnbench, tmp_path / "r", "--metric", "test_accuracy")
    assert len(seen.all("figure")) == FIGURES - 1 and "--metric test_accuracy</code>" in text
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
    assert text.count("a#3a50e0") > 3 and "a#bd" in text  # which is also a colour
    for path in (tmp_path / "figures").glob("*.svg"):
        ET.parse(path)


def test_one_seed_has_no_interval_and_one_epoch_is_seen(bnbench, tmp_path):
    make_arm(tmp_path / "r", "plain", [[0.9]])
    _, text = written(bnbench, tmp_path / "r")
    assert "After epoch 1: plain 90.00 %." in text and "</span> has nothing to be compared with." in text
    assert "<circle" in text and 'opacity="0.14"' not in text
    make_arm(tmp_path / "r", "bn", [[0.9], [0.8]], norm="batch")
    text = written(bnbench, tmp_path / "r")[1]  # in one epoch a band would have no width
    assert 'opacity="0.14"' not in text and "bn 85.00 [21.47, 100.00]* %" in text and "<b>*</b>" in text


def test_diverged_runs_are_told_of_and_in_no_curve(bnbench, results):
    make_run(results, "bn", 3, [0.1], status="diverged", epochs=3, digest=collect([results]).arms()[0].digest)
    make_arm(results, "lost", [[0.1]], norm="layer", status="diverged", epochs=3)
    seen, text = written(bnbench, results)
    said = next(sentence for sentence in alternatives(text) if sentence.startswith("Validation accuracy by epoch"))
    assert "Diverged runs are in no mean: bn (3 + 1 diverged), lost (0 + 1 diverged)." in said
    assert any("bn (3 + 1 diverged), lost (0 + 1 diverged)" in part for part in seen.text)
    assert "lost 1" not in said and "diverged after epoch 1, so not in any mean" in text


def test_where_every_run_diverged_the_page_says_so(bnbench, tmp_path):
    make_arm(tmp_path / "r", "lost", [[0.1]], status="diverged", epochs=3)
    seen, text = written(bnbench, tmp_path / "r")
    assert not seen.all("figure") and "no run is complete" in text


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


def test_of_many_arms_the_eight_most_different_come_first(bnbench, tmp_path):
    make_arm(tmp_path / "r", "plain", [[0.9, 0.9]] * 2)
    for number in range(1, 20):
        make_arm(tmp_path / "r", f"bn{number:02}", [[0.9, 0.8 + number / 100]] * 2, norm="batch", momentum=number / 20)
    seen, text = written(bnbench, tmp_path / "r")
    labels = [cells[0] for cells in seen.rows]
    start = labels.index("plain")
    first = ["bn19", "bn18", "bn17", "bn16", "bn04", "bn03", "bn02", "bn01"]
    assert labels[start : start + 9] == ["plain", *first]
    assert "<summary>The other 11 arms <span>bn15, bn14" in text
    (chapter,) = chapters(compare(collect([tmp_path / "r"]), Question()).tables)
    (family,) = chapter.families
    looks = [family.looks[name] for name in first]
    assert sorted(look.colour for look in looks) == [look.colour for look in ARMS]
    assert len({look.shape for look in looks}) == 8 and family.looks["bn10"].colour == "others"


def test_a_page_takes_sections_of_others(results):
    text = page(compare(collect([results]), Question()), sections=[Section("Mine", Markup("<h2>My own</h2>"))])
    assert '<a href="#section-2">Mine</a>' in text and text.index("minus plain") < text.index("My own")


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


def oklab(rgb):
    """Ottosson 2020."""
    cones = np.array([[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.6300]])
    axes = np.array([[0.2105, 0.7936, -0.0041], [1.9780, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]])
    return axes @ np.cbrt(cones @ np.clip(rgb, 0, 1))


def contrast(a, b):
    dark, light = sorted(float(linear(colour) @ [0.2126, 0.7152, 0.0722]) for colour in (a, b))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_colours_stay_apart_in_every_kind_of_colour_blindness(dark):
    """Distances in OKLab, where 2 is just seen; every colour may carry words, so its contrast is 4.5 or more."""
    of = values(dark)
    lines = [of["baseline"], *(of[look.colour] for look in ARMS)]
    for kind, matrix in COLOUR_BLIND.items():
        seen = [oklab(np.array(matrix) @ linear(colour)) for colour in lines]
        apart = {
            pair: 100 * np.linalg.norm(seen[pair[0]] - seen[pair[1]]) for pair in itertools.combinations(range(9), 2)
        }
        assert min(apart.values()) > (13 if kind == "none" else 7), kind
        assert min(distance for pair, distance in apart.items() if max(pair) < 5) > 9, kind  # with up to four arms
    words_have = [*lines, of["others"], of["quiet"]]
    assert min(contrast(colour, of["paper"]) for colour in words_have) >= 4.5 and contrast(of["ink"], of["paper"]) > 7


def test_figures_are_svg_and_png(bnbench, results, tmp_path):
    result = bnbench("report", results, "-o", "page.html", "--figures", "deep/figures")
    paths = sorted((tmp_path / "deep" / "figures").iterdir())
    assert len(paths) == 2 * (FIGURES - 1) and f"deep/figures: {len(paths)} files" in result.stdout  # none by seconds
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
        (["nowhere"], 3, "nowhere: no such folder; run something first"),
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


def test_a_page_needs_no_torch_and_no_matplotlib(results, tmp_path):
    code = (
        "import sys; from bnbench.cli import app\n"
        f"try: app(['report', {str(results)!r}, '-o', {str(tmp_path / 'page.html')!r}])\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'torchvision', 'mlxtend', 'matplotlib'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.endswith("[]\n") and (tmp_path / "page.html").exists()


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
    assert (tmp_path / "link.html").is_symlink() and "<table" in (tmp_path / "there.html").read_text()
