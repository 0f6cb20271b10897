"""Settings of all tests."""

import atexit
import os
import shutil
import signal
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A busy machine must not fail a test: no time limits. The same examples on every run.
settings.register_profile(
    "repository",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("repository")

# A shell that runs the tests in the background has them ignore Ctrl-C, and so whatever they start.
if (
    signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    and threading.current_thread() is threading.main_thread()
):
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Model folders that tests name are not remembered for the person who runs them.
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="lsr-tests-state-")
atexit.register(shutil.rmtree, os.environ["XDG_STATE_HOME"], ignore_errors=True)

SLOW_FILES = {
    # Programs in processes of their own, one or several a test.
    "eval/test_bench_run.py",
    "lsr/test_encoding.py",
    "service/test_bad_input.py",
    "service/test_changes_cli.py",
    "service/test_cli.py",
    "service/test_command_line.py",
    "service/test_full_disk.py",
    "service/test_http_limits.py",
    "service/test_imports.py",
    "service/test_kill_server.py",
    "service/test_own_encoder.py",
    "service/test_server.py",
    "service/test_training_cli.py",
    "test_platforms.py",
    # Faults: power cuts, kills, damage, histories of operations, several threads.
    "index/test_commit.py",
    "index/test_concurrency.py",
    "index/test_damage.py",
    "index/test_hostile.py",
    "index/test_kill.py",
    "index/test_powercut.py",
    "index/test_staged_state.py",
    "index/test_stateful.py",
    # Whole collections: encoded, searched and measured.
    "eval/test_experiment.py",
    "eval/test_fusion_fitting.py",
    "eval/test_fusion_systems.py",
    "eval/test_selective.py",
    "eval/test_synthetic.py",
    "lsr/test_corpus_python_docs.py",
    "lsr/test_default_model.py",
    "service/test_hybrid.py",
    "service/test_selective.py",
    # Networks that are made, trained or exported.
    "lsr/test_cross_encoder.py",
    "lsr/test_dense_encoders.py",
    "lsr/test_inference_free.py",
    "lsr/test_model_files_convert.py",
    "lsr/test_splade.py",
    "lsr/test_splade_threads.py",
    "training/test_default_model.py",
    "training/test_devices.py",
    "training/test_export.py",
    "training/test_methods.py",
    "training/test_mining.py",
    "training/test_models.py",
    "training/test_onnx_graph.py",
    "training/test_real_methods.py",
    "training/test_teachers.py",
    "training/test_trainer.py",
}
"""Files whose tests `make quick` leaves out; single slow tests of others have the mark ``slow``."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of slow files."""
    here = Path(__file__).parent
    for item in items:
        if item.path.relative_to(here).as_posix() in SLOW_FILES:
            item.add_marker(pytest.mark.slow)
