"""The application of the service, with the job types of the harness."""

import tests.faults.kinds as _kinds
from webapp import create_app

__all__ = ["_kinds", "create_app"]
