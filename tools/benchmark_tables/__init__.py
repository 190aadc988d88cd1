"""Tables of what the benchmarks measured: of costs, and of methods beside others."""
