"""From a model to the one that serves: gates, verdict, registry, report."""
