"""The site is built strictly, and a browser shows it; skipped where neither is installed."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")

pytestmark = pytest.mark.slow
pytest.importorskip("mkdocs")
pytest.importorskip("mkdocstrings")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"}
    options = {"cwd": ROOT, "env": environment, "capture_output": True, "text": True}
    done = subprocess.run(command, **options)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_is_built_and_nothing_is_left_to_fill_in(site):
    pages = {path: path.read_text("utf-8") for path in site.rglob("*.html")}
    assert len(pages) > 45
    for path, text in pages.items():
        assert "<!-- summary -->" not in text, path
        assert not re.search(r'class="arithmatex"', text), f"{path}: a formula is not drawn"
    assert "<math" in (site / "concepts" / "theory.html").read_text("utf-8")


def test_every_plot_is_in_the_gallery(site):
    import keras_infobottleneck as kib

    drawn = {path.stem for path in (site / "figures" / "gallery").glob("*.png")}
    assert drawn == set(kib.plots.__all__)


@pytest.mark.skipif(BROWSER is None, reason="needs Chromium")
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize(
    "page", ["index", "guides/choosing_beta", "reference/fisher", "concepts/theory"]
)
def test_a_browser_draws_a_page(site, tmp_path, page, width):
    picture = tmp_path / "page.png"
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},1200"]
    address = (site / f"{page}.html").as_uri()
    command = [BROWSER, *options, f"--screenshot={picture}", address]
    subprocess.run(command, capture_output=True, timeout=60, check=True)
    import matplotlib.image

    pixels = matplotlib.image.imread(picture)
    assert pixels.shape[1] == width
    in_the_middle = pixels[300:900, width // 4 : 3 * width // 4, :3]
    assert in_the_middle.std() > 0.05, "nothing is drawn where the text should be"
