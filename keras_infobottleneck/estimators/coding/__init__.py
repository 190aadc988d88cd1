"""Code lengths of labels with a network, where everything that the network learned is paid for."""
