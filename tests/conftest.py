"""What every test stands on: the same drawn examples everywhere, and nothing of this machine's own settings."""

import os

from hypothesis import HealthCheck, settings

# Examples are drawn from each test's own text, not from chance or from what an earlier run has found, and none is
# timed: a slow or busy machine is no error.
settings.register_profile(
    "same", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("same")

for name in ("MYOFLOW_DATA", "MYOFLOW_CACHE", "FORCE_COLOR", "NO_COLOR", "COLUMNS", "http_proxy", "HTTP_PROXY"):
    os.environ.pop(name, None)
