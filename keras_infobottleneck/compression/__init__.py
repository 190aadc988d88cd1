"""A network as a file of about the size of its information: format, coders, writing, reading."""
