"""Show: plain arrays in, matplotlib axes out. Needs the ``plots`` extra."""

__all__: list[str] = []
