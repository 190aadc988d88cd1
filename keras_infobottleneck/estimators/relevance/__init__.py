"""Statistics of hidden states: resolution, relevance and what chance alone would show."""
