"""How singular a minimum is, measured by Markov chains of weights around it."""
