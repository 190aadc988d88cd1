"""A network as a file of its information's size: the format, its coders, writing and reading."""
