"""The task of `do_it_yourself`, as one writes it: Celery's worker imports this file."""

from __future__ import annotations

import docker
from celery import Celery

from bench.cold import IMAGE, MESSAGE, check

app = Celery("bench")
_engine = docker.from_env()


@app.task  # type: ignore[untyped-decorator, unused-ignore] # Celery has no types
def run_container() -> str:
    """Run a container for one message; what it wrote."""
    output: bytes = _engine.containers.run(IMAGE, environment={"MSG": MESSAGE}, remove=True)
    check(output.decode())
    return output.decode()
