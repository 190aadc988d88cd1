"""Whose nats: what each example leaves in the weights, and what it does to the predictions."""
