"""What unmodified tapipy must be able to do from outside, in the order of a day's work.

Usage: checklist.py URL IMAGE, for a daemon with users `alice`, `bob` and the administrator `root`, whose password is
`PASSWORD`. The image must run the script that is in its variable SCRIPT. Whatever is not as it should be raises.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, Final

from tapipy.errors import BadRequestError, BaseTapyException, ForbiddenError, NotFoundError, UnauthorizedError
from tapipy.tapis import Tapis

PASSWORD: Final = "a long password"
ABSENT: Final = "JWpkNmBwKewYo"
"""The id of no actor."""

PRINT: Final = {"SCRIPT": 'echo "$MSG|$_abaco_Content_Type|$EXTRA"'}


def refused(kind: type[BaseTapyException], call: Callable[[], Any]) -> str:
    """The words with which a call is refused, which must be of this kind."""
    try:
        answer = call()
    except BaseTapyException as error:
        words = str(error.message)
        if type(error) is not kind or not words:
            raise
        return words
    raise AssertionError(f"answered with {answer}")


def until(status: str, look: Callable[[], Any]) -> Any:
    """Ask until it has come that far."""
    for _ in range(300):
        found = look()
        if found.status == status:
            return found
        time.sleep(0.1)
    raise AssertionError(f"never {status}: {found}")


class Checklist:
    """One user's tour; each method may build on those before it."""

    def __init__(self, url: str, image: str) -> None:
        self.url = url
        self.image = image
        self.t = self.logged_in("alice")

    def logged_in(self, username: str) -> Any:
        t = Tapis(base_url=self.url, username=username, password=PASSWORD)
        assert t.tenant_id == "dev"
        t.get_tokens()
        return t

    def register(self, **more: Any) -> Any:
        given = {"image": self.image, "default_environment": PRINT, **more}
        actor = self.t.actors.create_actor(**given)
        return until("READY", lambda: self.t.actors.get_actor(actor_id=actor.id))

    def ended(self, actor_id: str, sent: Any) -> Any:
        look = {"actor_id": actor_id, "execution_id": sent.execution_id}
        return until("COMPLETE", lambda: self.t.actors.get_execution(**look))

    def output(self, actor_id: str, sent: Any) -> str:
        self.ended(actor_id, sent)
        return str(self.t.actors.get_execution_logs(actor_id=actor_id, execution_id=sent.execution_id).logs)

    def check_tokens(self) -> None:
        token = self.t.access_token
        assert token.expires_in().total_seconds() > 0
        assert str(token)
        self.t.validate_token(token.access_token)
        assert "password" in refused(
            UnauthorizedError, Tapis(base_url=self.url, username="alice", password="x").get_tokens
        )
        named = Tapis(base_url=self.url, username="alice", password=PASSWORD, tenant_id="dev")
        named.get_tokens()
        assert named.actors.list_actors() == []
        assert Tapis(base_url=self.url, access_token=token.access_token).actors.list_actors() == []
        client = {"client_id": "any", "client_key": "any"}
        refreshing = Tapis(base_url=self.url, username="alice", password=PASSWORD, **client)
        refreshing.get_tokens()
        before = refreshing.access_token.access_token
        refreshing.refresh_tokens()
        assert refreshing.access_token.access_token != before
        refused(UnauthorizedError, Tapis(base_url=self.url, username="alice", password=PASSWORD).actors.list_actors)

    def check_profile(self) -> None:
        profile = self.t.authenticator.get_profile(username="alice")
        assert profile.username == "alice"
        assert hasattr(profile, "email")

    def check_registration(self) -> None:
        assert self.t.actors.list_actors() == []
        made = self.t.actors.create_actor(
            image=self.image, description="First.", default_environment=PRINT, stateless=False, token=True
        )
        assert (made.owner, made.status in ("SUBMITTED", "READY")) == ("alice", True)
        ready = until("READY", lambda: self.t.actors.get_actor(actor_id=made.id))
        assert ready._links.executions
        assert ready._links.owner
        assert [each.id for each in self.t.actors.list_actors()] == [made.id]
        assert self.register(stateless="False").stateless is False
        changed = self.t.actors.update_actor(actor_id=made.id, image=self.image, description="Second.")
        assert changed.description == "Second."
        assert ABSENT in refused(NotFoundError, lambda: self.t.actors.get_actor(actor_id=ABSENT))

    def check_messages(self) -> None:
        actor_id = self.register().id
        send = self.t.actors.send_message
        sent = send(actor_id=actor_id, message="text")
        assert sent.msg == "text"
        assert self.output(actor_id, sent) == "text|str|\n"
        assert send(actor_id=actor_id, request_body={"message": "lost by the client"}).execution_id
        octets = {"Content-Type": "application/octet-stream"}
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        for sent, logged in (
            (send(actor_id=actor_id, message={"a": 1}), '{"a": 1}|application/json|'),
            (self.t.actors.send_json_message(actor_id=actor_id, message={"a": 1}), '{"a": 1}|application/json|'),
            (self.t.actors.send_binary_message(actor_id=actor_id, message=b"b"), "|application/octet-stream|"),
            (send(actor_id=actor_id, message=b"b", _tapis_headers=octets), "|application/octet-stream|"),
            (send(actor_id=actor_id, message="in a form", _tapis_headers=form), "in a form|str|"),
            (send(actor_id=actor_id, message="x", _tapis_query_parameters={"EXTRA": "more"}), "x|str|more"),
        ):
            assert self.output(actor_id, sent) == f"{logged}\n"
        assert isinstance(self.t.actors.get_messages(actor_id=actor_id).messages, int)
        assert self.t.actors.delete_pending_messages(actor_id=actor_id).msg

    def check_executions(self) -> None:
        actor_id = self.register().id
        sent = self.t.actors.send_message(actor_id=actor_id, message="text")
        before = self.t.actors.get_execution_logs(actor_id=actor_id, execution_id=sent.execution_id)
        assert isinstance(before.logs, str)
        done = self.ended(actor_id, sent)
        assert [type(getattr(done, name)) for name in ("exit_code", "runtime", "cpu", "io")] == [int] * 4
        assert all(
            getattr(done, name) for name in ("start_time", "finish_time", "message_received_time", "final_state")
        )
        listed = self.t.actors.list_executions(actor_id=actor_id)
        assert [each.id for each in listed.executions] == [sent.execution_id]
        assert listed.total_executions == 1
        assert hasattr(listed, "total_cpu")

    def check_results(self) -> None:
        actor_id = self.register().id
        sent = self.t.actors.send_message(actor_id=actor_id, message="text")
        self.ended(actor_id, sent)
        assert self.t.actors.get_execution_result(actor_id=actor_id, execution_id=sent.execution_id) == b""
        answer = self.t.actors.send_message(actor_id=actor_id, message="now", _abaco_synchronous=True)
        assert answer == b"now|str|\n"

    def check_state(self) -> None:
        actor_id = self.register(stateless=False).id
        for state in ({"a": {"b": [1, None]}}, "a text"):
            self.t.actors.update_state(actor_id=actor_id, request_body=state)
            kept = self.t.actors.get_state(actor_id=actor_id).state
            assert (kept if isinstance(kept, str) else kept.a.b) == (state if isinstance(state, str) else [1, None])
        stateless = self.register().id
        refused(NotFoundError, lambda: self.t.actors.update_state(actor_id=stateless, request_body={}))

    def check_aliases(self) -> None:
        first, second = self.register().id, self.register().id
        made = self.t.actors.create_alias(alias="counter", actor_id=first)
        assert (made.alias, made.actor_id, made.owner) == ("counter", first, "alice")
        refused(BadRequestError, lambda: self.t.actors.create_alias(alias="counter", actor_id=second))
        assert "counter" in [each.alias for each in self.t.actors.list_aliases()]
        assert self.t.actors.get_alias(alias="counter").actor_id == first
        assert self.t.actors.get_actor(actor_id="counter").id == first
        sent = self.t.actors.send_message(actor_id="counter", message="by alias")
        assert self.output("counter", sent) == "by alias|str|\n"
        assert self.t.actors.update_actor_alias(alias="counter", actor_id=second).actor_id == second
        assert self.t.actors.get_actor(actor_id="counter").id == second
        self.t.actors.delete_alias(alias="counter")
        refused(NotFoundError, lambda: self.t.actors.get_alias(alias="counter"))
        refused(NotFoundError, lambda: self.t.actors.get_actor(actor_id="counter"))

    def check_permissions(self) -> None:
        actor_id = self.register().id
        bob = self.logged_in("bob")

        def grant(user: str, level: str) -> Any:
            return self.t.actors.update_permissions(actor_id=actor_id, user=user, level=level)

        assert self.t.actors.list_permissions(actor_id=actor_id).alice == "UPDATE"
        refused(ForbiddenError, lambda: bob.actors.get_actor(actor_id=actor_id))
        assert grant("bob", "READ").bob == "READ"
        assert bob.actors.get_actor(actor_id=actor_id).id == actor_id
        refused(ForbiddenError, lambda: bob.actors.send_message(actor_id=actor_id, message="x"))
        grant("bob", "EXECUTE")
        assert bob.actors.send_message(actor_id=actor_id, message="x").execution_id
        refused(ForbiddenError, lambda: bob.actors.update_actor(actor_id=actor_id, image=self.image))
        grant("bob", "UPDATE")
        bob.actors.update_actor(actor_id=actor_id, image=self.image, default_environment=PRINT)
        grant("bob", "NONE")
        refused(ForbiddenError, lambda: bob.actors.get_actor(actor_id=actor_id))
        grant("ABACO_WORLD", "READ")
        assert bob.actors.get_actor(actor_id=actor_id).id == actor_id
        refused(BadRequestError, lambda: grant("bob", "ALL"))

    def check_nonces(self) -> None:
        actor_id, other = self.register().id, self.register().id
        nonces = self.t.actors
        reading = nonces.create_nonce(actor_id=actor_id, level="READ", max_uses=-1)
        once = nonces.create_nonce(actor_id=actor_id, level="EXECUTE", max_uses=1)
        listed = {each.id for each in nonces.list_nonces(actor_id=actor_id)}
        assert listed == {reading.id, once.id}
        assert nonces.get_nonce(actor_id=actor_id, nonce_id=once.id).remaining_uses == 1
        stranger = Tapis(base_url=self.url).actors

        def with_nonce(nonce: Any) -> dict[str, Any]:
            return {"_tapis_query_parameters": {"x-nonce": nonce.id}}

        assert stranger.get_actor(actor_id=actor_id, **with_nonce(reading)).id == actor_id
        refused(ForbiddenError, lambda: stranger.send_message(actor_id=actor_id, message="x", **with_nonce(reading)))
        refused(UnauthorizedError, lambda: stranger.get_actor(actor_id=other, **with_nonce(reading)))
        assert stranger.send_message(actor_id=actor_id, message="x", **with_nonce(once)).execution_id
        refused(UnauthorizedError, lambda: stranger.get_actor(actor_id=actor_id, **with_nonce(once)))
        nonces.delete_nonce(actor_id=actor_id, nonce_id=reading.id)
        refused(NotFoundError, lambda: nonces.get_nonce(actor_id=actor_id, nonce_id=reading.id))
        refused(UnauthorizedError, lambda: stranger.get_actor(actor_id=actor_id, **with_nonce(reading)))

    def check_search(self) -> None:
        actor_id = self.register(description="A needle in the haystack.").id
        self.ended(actor_id, self.t.actors.send_message(actor_id=actor_id, message="to be found"))

        def found(kind: str, **query: Any) -> Any:
            return self.t.actors.search_database(search_type=kind, _tapis_query_parameters=query)

        by_id = found("actors", id=actor_id)
        assert (by_id._metadata.total_count, by_id.search[0].id) == (1, actor_id)
        assert found("actors", **{"description.like": "needle"}).search[0].id == actor_id
        assert found("actors", search="needle").search[0].id == actor_id
        others = found("actors", **{"id.neq": actor_id, "create_time.gt": "2020-01-01", "limit": 1, "skip": 1})
        assert others._metadata.count_returned == others._metadata.records_skipped == 1
        assert others.search[0].id != actor_id
        runs = found("executions", **{"actor_id": actor_id, "status.in": '["COMPLETE", "ERROR"]'})
        assert [each.actor_id for each in runs.search] == [actor_id]
        assert found("logs", search="found")._metadata.total_count == 1
        assert found("workers")._metadata.total_count >= 0

    def check_workers(self) -> None:
        actor_id = self.register().id
        assert isinstance(self.t.actors.list_workers(actor_id=actor_id), list)
        asked = self.logged_in("root").actors.manage_worker_pool_size(actor_id=actor_id, num=2)
        assert asked["message"].startswith("Scheduled")
        refused(ForbiddenError, lambda: self.t.actors.manage_worker_pool_size(actor_id=actor_id, num=2))

    def check_deletion(self) -> None:
        actor_id = self.register().id
        assert self.t.actors.delete_actor(actor_id=actor_id)["status"] == "success"
        refused(NotFoundError, lambda: self.t.actors.get_actor(actor_id=actor_id))


def main(url: str, image: str) -> None:
    """All of it."""
    checklist = Checklist(url, image)
    checklist.check_tokens()
    checklist.check_profile()
    checklist.check_registration()
    checklist.check_messages()
    checklist.check_executions()
    checklist.check_results()
    checklist.check_state()
    checklist.check_aliases()
    checklist.check_permissions()
    checklist.check_nonces()
    checklist.check_search()
    checklist.check_workers()
    checklist.check_deletion()


if __name__ == "__main__":
    main(*sys.argv[1:])
