"""The experiments behind the claims of five papers: one folder each, and the frame they share.

A folder holds ``run.py`` (flags, settings, the runs), ``claims.py`` (claims, criteria, verdicts
from records alone) and, where there is more to it, ``setup.py``, ``measures.py``, ``figure.py``.
Each ``run.py`` puts the folder ``examples`` on the path, so that it starts from anywhere::

    python examples/reproduction/random_labels/run.py --smoke
"""
