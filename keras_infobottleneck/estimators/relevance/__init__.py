"""Statistics of hidden states: resolution, relevance, and their values by chance."""
