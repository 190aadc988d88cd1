"""Symmetric matrices known by their products: operators, Lanczos, quadrature, traces."""
