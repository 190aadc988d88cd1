"""Information in weights and activations, from their noise."""
