"""The per-batch kernels: whose packet is it, is it exempt, charge it, limit it."""
