"""Proofs that what is promised holds: no leakage, no skew, predictions that can be recomputed."""
