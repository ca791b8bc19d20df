"""One definition of every feature, computed by the same code in training and in serving."""
