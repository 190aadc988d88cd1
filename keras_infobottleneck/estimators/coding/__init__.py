"""Code lengths of labels: what a network saves, with everything it learned paid for."""
