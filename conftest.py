"""For every test of this project."""

from hypothesis import HealthCheck, settings

# How long a machine takes, which may be busy with something else, says nothing about what is tested.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")
