"""Whether what serves does as well as it should, and what is wrong where it does not."""
