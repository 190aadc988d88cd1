"""What every page must keep to: nothing is loaded from a host, and none is too large to open."""

import re

from mkdocs.exceptions import PluginError

LOADED = re.compile(r'<(?:script|link|img|iframe)[^>]*(?:src|href)="?(https?:|//)[^>]*>')
MOST_BYTES = 300_000


def on_post_page(output, page, **_):
    """Called by MkDocs with each page as it is written."""
    if found := LOADED.search(output):
        raise PluginError(f"{page.file.src_uri} loads something from a host: {found[0]}")
    if (size := len(output.encode())) > MOST_BYTES:
        raise PluginError(f"{page.file.src_uri} has {size:,} bytes, more than {MOST_BYTES:,}")
    return output
