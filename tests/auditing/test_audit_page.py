"""The page of a report in a browser, where there is one: on wide and on narrow screens."""

import json
import re
import shutil
import subprocess
from html import escape, unescape

import matplotlib
import pytest

matplotlib.use("Agg")

import keras_infobottleneck as kib
from keras_infobottleneck.auditing.network_picture import NetworkPicture, in_one_order
from tests.support.audited_networks import examples, network

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

# Opens every part, and tells how far the page reaches and which words are on two lines.
PROBE = """
<script>
const page = document.querySelector("iframe");
page.onload = () => {
  const inside = page.contentDocument, broken = [];
  inside.querySelectorAll("details").forEach(each => each.open = true);
  inside.querySelectorAll("th, td, .layer, .nats, dt").forEach(cell => {
    const walker = inside.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const node = walker.currentNode, words = /[^\\s\\/-]+/g;
      for (let word; (word = words.exec(node.data));) {
        const range = inside.createRange();
        range.setStart(node, word.index);
        range.setEnd(node, word.index + word[0].length);
        const lines = new Set([...range.getClientRects()].map(box => Math.round(box.top)));
        if (lines.size > 1) broken.push(word[0]);
      }
    }
  });
  const root = inside.documentElement;
  const found = { width: root.scrollWidth, broken, color: getComputedStyle(inside.body).color };
  document.body.innerHTML = "<pre>" + JSON.stringify(found) + "</pre>";
};
</script>
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    include = ["task", "fisher", "weights", "relevance", "complexity"]
    kib.audit(network(), examples(), include=include).to_html(path)
    return path.read_text("utf-8")


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_fits_its_screen_and_breaks_no_word(page, width, tmp_path):
    frame = f'<iframe width="{width}" height="900" srcdoc="{escape(page)}"></iframe>'
    (tmp_path / "probe.html").write_text(f"<body>{frame}{PROBE}</body>", "utf-8")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    command += ["--virtual-time-budget=10000", f"--user-data-dir={tmp_path / 'profile'}"]
    command += ["--window-size=1400,1000", (tmp_path / "probe.html").as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120).stdout
    found = json.loads(unescape(re.search("<pre>(.*?)</pre>", shown, re.DOTALL).group(1)))
    assert found["width"] <= width
    assert found["broken"] == []


def test_the_page_asks_for_the_width_of_the_screen_and_knows_the_dark(page):
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in page
    assert "prefers-color-scheme: dark" in page


def test_layers_stand_in_the_order_of_the_network():
    orders = [["a", "c", "e"], ["a", "b", "c", "d"], ["z", "e"]]
    assert in_one_order(orders) == ["z", "a", "b", "c", "d", "e"]
    assert in_one_order([]) == []


def test_the_picture_has_bars_in_proportion_to_the_logarithm():
    picture = NetworkPicture({"held": {"a": 0.01, "b": 1.0}, "told": {"b": 100.0}}, 10.0, "a label")
    drawn = picture.html()
    widths = re.findall(r'class="bar kind(\d)" style="width:([\d.]+)%"', drawn)
    assert widths == [("0", "0.0"), ("0", "50.0"), ("1", "100.0")]
    assert set(re.findall(r'class="line" style="left:([\d.]+)%"', drawn)) == {"75.0"}
    assert "a label holds at most, 10 nats" in picture.caption
    assert NetworkPicture({}).html() == ""


def test_infinite_and_zero_nats_are_drawn_at_the_ends():
    drawn = NetworkPicture({"told": {"a": float("inf"), "b": 0.0, "c": 1.0, "d": 10.0}}).html()
    assert re.findall(r"width:([\d.]+)%", drawn) == ["100.0", "0.0", "0.0", "100.0"]
    assert "infinite" in drawn


def test_of_many_layers_those_with_the_most_nats_are_shown():
    picture = NetworkPicture({"held": {f"layer{n}": float(n) for n in range(40)}})
    assert picture.layers == [f"layer{n}" for n in range(24, 40)]
    assert "the 24 layers with the fewest nats are left out" in picture.caption
