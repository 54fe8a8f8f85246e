"""SIM rows, token buckets and usage counters: what a packet changes, and nothing that decides why."""
