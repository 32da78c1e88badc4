"""Comparison with peers: two other pipelines and CNS, one after the other in one run, against one fake provider."""
