"""How much the tests of faults do: LSR_FAULT_SCALE multiplies counts and time limits."""

import os

import pytest

SCALE = float(os.environ.get("LSR_FAULT_SCALE", "1"))
LONGER = max(1.0, SCALE)
"""By how much a test may take longer."""

time_limit = pytest.mark.timeout(900 * LONGER)
