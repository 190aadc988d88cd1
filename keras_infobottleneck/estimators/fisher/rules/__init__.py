"""Rules for the per-example gradients of layers, one file a family of layers."""
