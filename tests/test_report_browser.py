"""The HTML report in a browser: everything is there, no words meet, nothing scrolls sideways."""

import html
import json
import re
import shutil
import subprocess

import pytest
from handmade import make_config, make_run

from bnbench.analysis.arms import collect
from bnbench.analysis.compare import Question, compare
from bnbench.report.page import page

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")

# Measures the page in a frame of a given width, with all folds open.
MEASURE = """<!DOCTYPE html><title>measure</title>
<iframe src="page.html" style="border: 0; width: {width}px; height: 800px"></iframe>
<pre></pre><script>
document.querySelector("iframe").onload = (event) => {{
  const page = event.target.contentDocument;
  page.querySelectorAll("details").forEach((fold) => {{ fold.open = true; }});
  const meet = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
  const found = {{meet: [], out: [], small: 1000, seen: 0, marks: 0}};
  for (const svg of page.querySelectorAll("figure svg")) {{
    const whole = svg.getBoundingClientRect();
    if (!whole.width) continue;
    found.seen += 1;
    const scale = whole.width / svg.viewBox.baseVal.width;
    const words = [...svg.querySelectorAll("text")].map((text) => {{
      const box = text.getBoundingClientRect(), size = scale * parseFloat(text.getAttribute("font-size"));
      found.small = Math.min(found.small, size);
      const middle = (box.top + box.bottom) / 2;  // the box has room above and below the letters
      const [top, bottom] = [middle - size / 2, middle + size / 2];
      return {{left: box.left, right: box.right, top, bottom, says: text.textContent}};
    }});
    const marks = [...svg.querySelectorAll("circle, path:not([fill=none]):not([opacity])")].map((mark) => {{
      const box = mark.getBoundingClientRect();
      return {{left: box.left, right: box.right, top: box.top, bottom: box.bottom, says: "a mark"}};
    }});
    found.marks += marks.length;
    words.forEach((one, place) => {{
      for (const other of [...words.slice(place + 1), ...marks])
        if (meet(one, other)) found.meet.push([one.says, other.says]);
      const inside = one.left > whole.left - 2 && one.right < whole.right + 2 && one.bottom < whole.bottom + 2;
      if (!inside) found.out.push(one.says);
    }});
  }}
  found.scroll = page.documentElement.scrollWidth;
  const room = page.querySelector("main").getBoundingClientRect().right + 1;
  const cells = [...page.querySelectorAll(".cards th, .cards td")];
  found.cut = cells.filter((cell) => cell.getBoundingClientRect().right > room).map((cell) => cell.textContent);
  found.cells = cells.length;
  found.background = event.target.contentWindow.getComputedStyle(page.body).backgroundColor;
  document.querySelector("pre").textContent = JSON.stringify(found);
}};
</script>"""


def browse(folder, url, *options):
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    command += [f"--user-data-dir={folder / 'profile'}", "--allow-file-access-from-files"]
    command += ["--enable-logging=stderr", "--v=0", "--virtual-time-budget=5000", *options, "--dump-dom", url]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return result.stdout, [line for line in result.stderr.split("\n") if "CONSOLE" in line]


def make_arm(folder, name, accuracies, norm="none", **settings):
    config = make_config(norm, **settings)
    config["train"]["epochs"] = len(accuracies[0])
    for seed, of_seed in enumerate(accuracies):
        make_run(folder, name, seed, of_seed, config=config)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A page with all that is hard to draw: equal lines, long names, many arms, a sweep, two swept keys, lost runs."""
    folder = tmp_path_factory.mktemp("browser")
    few, many, lr = folder / "r" / "few", folder / "r" / "many", "train.optimizer.lr"
    curve = [0.90, 0.93, 0.95, 0.955, 0.96]
    for name, norm, better in (
        ("mlp_none", "none", 0.0),
        ("mlp_batch", "batch", 0.01),
        ("mlp_batch_again,norm.momentum=0.3", "batch", 0.01),
        ("mlp_a_very_long_name_of_an_arm,norm.type=layer,norm.eps=0.001", "layer", -0.012),
    ):
        settings = {"momentum": 0.3} if "again" in name else {}
        make_arm(few, name, [[value + better + seed / 997 for value in curve] for seed in range(7)], norm, **settings)
    make_run(few, "mlp_batch", 99, [0.1], status="diverged", epochs=5, config={**make_config("batch"), "train": {
        "epochs": 5, "optimizer": {"type": "sgd", "lr": 0.1}}})  # fmt: skip
    for place in range(12):
        norm = "none" if place == 0 else "batch"
        settings = {"momentum": 0.05 * place} if place else {}
        values = [[0.9, 0.9 + 0.004 * place + seed / 991] for seed in range(7)]
        make_arm(many, "cnn_none" if place == 0 else f"cnn_momentum_{place}", values, norm, model="cnn", **settings)
    for norm in ("none", "batch"):
        for place, rate in enumerate((0.01, 0.03, 0.1, 0.3, 1, 3)):
            for seed in range(4):
                lost = norm == "none" and rate > 0.3 and seed < 3
                value = (0.8 + 0.02 * place if norm == "batch" or place < 3 else 0.1) + seed / 300
                status, values = ("diverged", [value]) if lost else ("complete", [value - 0.05, value, value])
                config = make_config(norm, lr=float(rate))
                make_run(
                    folder / "r" / "rates", f"{norm},{lr}={rate}", seed, values, config=config, status=status, epochs=3
                )
    for size in (16, 64, 256):
        for rate in (0.01, 0.1, 1.0):
            config = {**make_config(lr=rate), "data": {"batch_size": size}}
            config["train"]["epochs"] = 4
            if (size, rate) != (256, 1.0):
                name = f"grid,data.batch_size={size},{lr}={rate}"
                make_run(folder / "r" / "grid", name, 0, [size / 300 + rate / 10] * 4, config=config)
    (folder / "page.html").write_text(page(compare(collect([folder / "r"]), Question())), encoding="utf-8")
    return folder


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (900, True), (390, True)])
def test_no_words_meet_and_nothing_is_cut(folder, width, dark):
    measure = folder / f"measure-{width}.html"
    measure.write_text(MEASURE.format(width=width))
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    dom, console = browse(folder, measure.as_uri(), scheme, "--window-size=1400,900")
    seen = json.loads(html.unescape(re.search(r"<pre>(.*?)</pre>", dom)[1]))
    assert console == [] and seen["meet"] == [] and seen["out"] == [] and seen["cut"] == []
    assert seen["scroll"] <= width and seen["small"] >= 11  # pixels
    assert seen["seen"] > 12 and seen["marks"] > 300 and seen["cells"] > 100
    assert seen["background"] == ("rgb(20, 23, 28)" if dark else "rgb(255, 255, 255)")


def test_the_console_would_be_heard(tmp_path):
    (tmp_path / "bad.html").write_text('<script>nothing()</script><svg viewBox="x"></svg><img src="gone.png">')
    _, console = browse(tmp_path, (tmp_path / "bad.html").as_uri())
    assert any("nothing is not defined" in line for line in console) and any("viewBox" in line for line in console)
