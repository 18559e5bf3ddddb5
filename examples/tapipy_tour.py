"""A tour of the actors API with tapipy: the documentation's quickstart, and what its readers do next.

Usage: tapipy_tour.py URL PASSWORD IMAGE, for a daemon with a user `alice`. The image must run the script that is in
its variable SCRIPT. Prints what it saw as one JSON object; the test suite compares that.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from tapipy.errors import BaseTapyException
from tapipy.tapis import Tapis


def main(url: str, password: str, image: str) -> dict[str, Any]:
    """Walk through the chapter, and through what its readers do next."""
    seen: dict[str, Any] = {}
    t = Tapis(base_url=url, username="alice", password=password)
    t.get_tokens()
    seen["tenant"] = t.tenant_id
    seen["expires"] = t.access_token.expires_in().total_seconds()
    t.validate_token(t.access_token.access_token)
    seen["profile"] = t.authenticator.get_profile(username="alice").username
    seen["empty"] = t.actors.list_actors()
    actor = t.actors.create_actor(
        image=image, name="word_counter", description="Actor that counts words.", default_environment=COUNT
    )
    seen["registered"] = actor.status
    seen["ready"] = _until("READY", lambda: t.actors.get_actor(actor_id=actor.id)).status
    sent = t.actors.send_message(actor_id=actor.id, message="Actor, please count these words.")
    seen["msg"] = sent.msg
    done = _until("COMPLETE", lambda: t.actors.get_execution(actor_id=actor.id, execution_id=sent.execution_id))
    seen["exit_code"] = done.exit_code
    seen["keys"] = sorted(done.__dict__)
    seen["logs"] = t.actors.get_execution_logs(actor_id=actor.id, execution_id=sent.execution_id).logs
    seen["others"] = [
        t.actors.send_message(actor_id=actor.id, request_body={"message": "as documented, sent as {}"}).msg.__dict__,
        t.actors.send_json_message(actor_id=actor.id, message={"a": True}).msg.a,
        t.actors.send_binary_message(actor_id=actor.id, message=b"bytes").msg,
    ]
    listed = t.actors.list_executions(actor_id=actor.id)
    seen["total"] = (len(listed.executions), listed.total_executions)
    seen["updated"] = t.actors.update_actor(actor_id=actor.id, image=image, description="Counts.").description
    for name, call in {
        "unknown": lambda: t.actors.get_actor(actor_id="JWpkNmBwKewYo"),
        "stateless": lambda: t.actors.update_state(actor_id=actor.id, request_body={"a": 1}),
        "wrong password": lambda: Tapis(base_url=url, username="alice", password="x").get_tokens(),
        "no token": Tapis(base_url=url, username="alice", password="x").actors.list_actors,
    }.items():
        try:
            call()
        except BaseTapyException as error:
            seen[name] = type(error).__name__
    seen["deleted"] = t.actors.delete_actor(actor_id=actor.id)["status"]
    return seen


COUNT = {"SCRIPT": 'set -- $MSG; echo "Number of words is: $#"'}


def _until(status: str, look: Any) -> Any:
    """Ask until it has come that far, as the documentation tells its readers to."""
    for _ in range(300):
        found = look()
        if found.status == status:
            return found
        time.sleep(0.1)
    raise SystemExit(f"never {status}: {found}")


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
