"""Settings that every test runs under."""

import os

from hypothesis import settings

# Tests run one process per core; without this every process would start one thread per core
# too. Read when torch is imported, so it must be set before.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# No deadline, because machines differ in speed; the same examples on every run, so that a failure
# is about the change at hand. `--hypothesis-profile=default` searches at random.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")
