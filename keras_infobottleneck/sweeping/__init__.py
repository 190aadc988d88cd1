"""Choice of a price: one training along a grid of prices, and the resulting curve."""
