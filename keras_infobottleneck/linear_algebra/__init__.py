"""Symmetric matrices that are known by their products: operators, Lanczos, quadrature, traces."""
