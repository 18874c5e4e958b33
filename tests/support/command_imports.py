"""A command that tells what it has imported, run by `python -c` with the command line of `refit`."""

from __future__ import annotations

ENGINES = {"prefect", "mlflow", "sklearn", "scipy", "pandas", "great_expectations", "matplotlib", "onnxruntime"}
COMMAND = """
import sys
sys.argv[0] = "refit"
from refit_deployments.main import main
try:
    main()
finally:
    sys.stderr.write("\\n" + " ".join(sorted(sys.modules)))
"""
