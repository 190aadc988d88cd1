"""Code lengths of labels with a network, including everything that the network learned."""
