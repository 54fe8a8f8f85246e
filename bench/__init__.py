"""Benchmarks beside other programs; `pktoll bench` runs them."""
