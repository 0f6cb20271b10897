"""Training needs torch; without it these tests are skipped, visibly."""

import pytest

pytest.importorskip("torch", reason="needs the extra [torch]")
pytest.importorskip("transformers", reason="needs the extra [torch]")
