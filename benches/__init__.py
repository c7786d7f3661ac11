"""Benchmarks beside the peers, `make bench`. Each does the work of its peer, and says which work that is."""
