"""A job as the daemon tells of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from reactors.runtime import ManagedPipelineJob
from tests.reactors.runtime.stub import Reply

Make = Callable[..., ManagedPipelineJob]

JOB: Final = "10743f9e-f5ae-5b4c-859e-6774ef4ab08b"
PIPELINE: Final = "106bd127-e2d2-57ac-b9be-11ed06042e68"
MEASUREMENT: Final = "1041ab3f-5221-5c79-8781-8838dfb6eef9"
PATH: Final = "/products/v2/106bd127/BAk/PAV/casual-bass-20190215T213009Z"
RECORD: Final = {
    "uuid": JOB,
    "pipeline_uuid": PIPELINE,
    "archive_path": PATH,
    "archive_system": "data-sd2e-community",
    "child_of": [MEASUREMENT],
    "generated_by": [PIPELINE],
    "data": {"b": 1, "a": "ä"},
    "session": "casual-bass",
    "state": "CREATED",
    "last_event": "create",
    "history": [{"name": "create"}],
}
DOCUMENT_TOKEN, ADMIN_TOKEN = "0dc73dc3ff39b49a", "ad317ad317ad317a"
CALLBACK: Final = "https://lab.example/actors/v2/mgr/messages?x-nonce=DEV_c&token=0dc73dc3ff39b49a&uuid=" + JOB
EVENTS: Final = f"/v3/jobs/{JOB}/events"


def record(**fields: Any) -> dict[str, Any]:
    return {**RECORD, **fields}


def told(**fields: Any) -> Reply:
    return Reply({"job": record(**fields), "token": DOCUMENT_TOKEN})


CREATED: Final = Reply({"job": RECORD, "token": DOCUMENT_TOKEN, "callback": CALLBACK, "created": True}, 201)
