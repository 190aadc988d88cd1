"""How singular a minimum is: chains of weights around it, and what they say of its volume."""
