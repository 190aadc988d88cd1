"""Pages that are written when the site is built, from the code and from results."""

import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import experiments
import gallery
import misleading
import report
from mkdocs.structure.files import File

TABLES = pathlib.Path(__file__).parents[2] / "benchmarks" / "README.md"


def on_files(files, config):
    """Called by MkDocs with all files of the site."""
    pages = {
        "benchmarks.md": TABLES.read_text("utf-8").replace("](../docs/", "]("),
        "concepts/misleading.md": misleading.page(),
        "gallery.md": gallery.page(),
        "guides/report_of_digits.html": report.html(),
        **experiments.pages(),
    }
    for name, draw in gallery.figures().items():
        pages[f"figures/gallery/{name}.png"] = gallery.drawn(draw)
    for path, content in pages.items():
        files.append(File.generated(config, path, content=content))
    return files
