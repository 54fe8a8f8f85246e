"""Benchmarks beside programs in C; run them with `./dev bench`."""
