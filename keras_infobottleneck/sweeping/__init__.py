"""Choose a price: one training along a grid of prices, and the curve that comes out."""
