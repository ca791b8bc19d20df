"""A history, lived through once more under other policies of retraining: what each would have cost."""
