"""The site asks no host for anything: what its pages load is in its own folder."""

import re

from mkdocs.exceptions import PluginError

LOADED = re.compile(r'<(?:script|link|img|iframe)[^>]*(?:src|href)="?(https?:|//)[^>]*>')


def on_post_page(output, page, **_):
    """Called by MkDocs with each page as it is written."""
    if found := LOADED.search(output):
        raise PluginError(f"{page.file.src_uri} loads something from a host: {found[0]}")
    return output
