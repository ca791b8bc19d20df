"""Where work is done: threads, processes or a Dask cluster, always with the same result."""
