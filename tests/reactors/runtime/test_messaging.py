"""Messages to other actors, nonces and webhooks (spec/pipelinejobs 8.4)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from reactors.runtime import DaemonError, MessageNotSent, Reactor
from reactors.runtime.actors import Actors, Retries
from reactors.runtime.daemon import Daemon
from tests.reactors.runtime.conftest import ACTOR, EXECUTION, TOKEN
from tests.reactors.runtime.stub import Reply, Stub

Make = Callable[..., Reactor]
SENT = Reply({"execution_id": "e1", "msg": "…"}, 201)
BUSY, UNKNOWN = Reply(status=503, message="Later."), Reply(status=404, message="Actor not found.")


def messages(actor: str) -> str:
    return f"/v3/actors/{actor}/messages"


@pytest.mark.parametrize("message", ["text", {"message": {"a": 1}}, [1], {}, 0, "\ud800"])
def test_a_message_goes_out_with_who_sent_it(reactor: Make, daemon: Stub, message: Any) -> None:
    daemon.on("POST", messages("other"), SENT)
    rx = reactor(x_session="fond-bug", UUID="107", EVENT="finish")
    assert rx.send_message("other", message, environment={"level": 2, "x_session": "mine"}) == "e1"
    (seen,) = daemon.seen
    assert seen.body == {"message": message}
    assert seen.token == TOKEN
    assert seen.query == {
        "x_src_actor_id": ACTOR,
        "x_src_execution_id": EXECUTION,
        "x_session": "mine",
        "x_src_uuid": "107",
        "x_src_event": "finish",
        "level": "2",
    }


def test_tags_can_be_left_out_and_bytes_go_as_they_are(reactor: Make, daemon: Stub) -> None:
    daemon.on("POST", messages("other"), SENT)
    reactor().send_message("other", b"\x00\xff", senderTags=False)
    (seen,) = daemon.seen
    assert (seen.query, seen.content) == ({}, b"\x00\xff")
    assert seen.headers["content-type"] == "application/octet-stream"


def test_names_of_actors(reactor: Make, daemon: Stub) -> None:
    Path("config.yml").write_text("linked_reactors: {indexer: {id: linked-id}, broken: text}")
    rx = reactor()
    for name, path in [
        ("me", ACTOR),
        ("self", ACTOR),
        ("indexer", "linked-id"),
        ("broken", "broken"),
        ("a/b", "a%2Fb"),
    ]:
        daemon.on("POST", messages(path), SENT)
        assert rx.send_message(name, "x") == "e1", name


def test_a_message_is_tried_again_until_it_is_sent(daemon: Stub) -> None:
    daemon.on("POST", messages("other"), BUSY, BUSY, BUSY, BUSY, BUSY, SENT)
    pauses: list[float] = []
    actors = Actors(Daemon(daemon.url), sleep=pauses.append)
    assert actors.send("other", "x", {}, Retries()) == "e1"
    assert len(daemon.seen) == 6
    assert pauses[0] == 1
    assert all(before <= after <= 2 * before for before, after in pairwise(pauses))


def test_pauses_do_not_grow_beyond_32_seconds(daemon: Stub) -> None:
    daemon.on("POST", messages("other"), BUSY)
    pauses: list[float] = []
    with pytest.raises(MessageNotSent, match=r"other was not sent: Later\."):
        Actors(Daemon(daemon.url), sleep=pauses.append).send("other", "x", {}, Retries(40, 30))
    assert len(pauses) == 40
    assert max(pauses) == 32


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413])
def test_what_cannot_get_better_is_not_tried_again(reactor: Make, daemon: Stub, status: int) -> None:
    daemon.on("POST", messages("other"), Reply(status=status, message="No."))
    rx = reactor()
    assert rx.send_message("other", "x") is None
    with pytest.raises(MessageNotSent):
        rx.send_message("other", "x", ignoreErrors=False)
    assert len(daemon.seen) == 2


def test_a_failure_is_logged_and_shows_no_nonce(reactor: Make, capsys: pytest.CaptureFixture[str]) -> None:
    rx = reactor(_abaco_api_server="http://127.0.0.1:1")
    assert rx.send_message("other", "x", {"x-nonce": "DEV_secret"}, retryMaxAttempts=0) is None
    err = capsys.readouterr().err
    assert err.startswith(f"{ACTOR} ERROR the message to other was not sent")
    assert "DEV_secret" not in err


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_that_leads_elsewhere_is_refused(reactor: Make, daemon: Stub, name: str) -> None:
    with pytest.raises(ValueError, match="cannot be an id"):
        reactor().send_message(name, "x", ignoreErrors=False)
    assert daemon.seen == []


def test_a_message_that_json_does_not_have_is_refused(reactor: Make, daemon: Stub) -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for message in (float("nan"), {1, 2}, deep):
        assert reactor().send_message("other", message) is None
    assert daemon.seen == []


def test_a_nonce_stands_in_for_a_token_that_is_refused_or_missing(reactor: Make, daemon: Stub) -> None:
    daemon.on("POST", messages("other"), Reply(status=403, message="No."), SENT)
    assert reactor().send_message("other", "x", {"x-nonce": "DEV_n"}, senderTags=False) == "e1"
    assert reactor(_abaco_access_token="").send_message("other", "x", nonce="DEV_n", senderTags=False) == "e1"
    assert [(seen.token, seen.query) for seen in daemon.seen] == [
        (TOKEN, {}),
        (None, {"x-nonce": "DEV_n"}),
        (None, {"x-nonce": "DEV_n"}),
    ]


def test_where_token_and_nonce_are_refused_both_reasons_are_told_and_the_same_one_once(
    reactor: Make, daemon: Stub
) -> None:
    why, gone = "token: this needs an administrative token.", "Nonce does not exist."
    for second, told in ((gone, f"{why} With the nonce: {gone}"), (why, why)):
        daemon.on("POST", messages("other"), Reply(status=403, message=why), Reply(status=401, message=second))
        with pytest.raises(MessageNotSent) as refused:
            reactor().send_message("other", "x", nonce="DEV_n", ignoreErrors=False, retryMaxAttempts=0)
        assert str(refused.value).endswith(told)


def test_a_synchronous_message_waits_for_the_end(reactor: Make, daemon: Stub) -> None:
    daemon.on("POST", messages("other"), SENT)
    daemon.on("GET", "/v3/actors/other/executions/e1", Reply({"status": "RUNNING"}), Reply({"status": "COMPLETE"}))
    assert reactor().send_message("other", "x", sync=True) == "e1"
    assert [seen.method for seen in daemon.seen] == ["POST", "GET", "GET"]


def test_outside_a_container_there_is_no_daemon(environment: dict[str, str]) -> None:
    with pytest.raises(MessageNotSent, match="_abaco_api_server"):
        Reactor(environment={}).send_message("other", "x", ignoreErrors=False, retryMaxAttempts=0)


# --- nonces ---------------------------------------------------------------------------------------------------------

NONCES = f"/v3/actors/{ACTOR}/nonces"


def test_nonces_are_made_shown_and_revoked(reactor: Make, daemon: Stub) -> None:
    daemon.on("POST", NONCES, Reply({"id": "DEV_a"}, 201))
    daemon.on("GET", NONCES, Reply([{"id": "DEV_a"}, {"id": "DEV_b"}]))
    daemon.on("GET", f"{NONCES}/DEV_a", Reply({"id": "DEV_a", "level": "READ"}))
    for nonce in "ab":
        daemon.on("DELETE", f"{NONCES}/DEV_{nonce}", Reply())
    rx = reactor()
    assert rx.add_nonce("UPDATE", 3).id == "DEV_a"
    assert daemon.seen[-1].body == {"level": "UPDATE", "max_uses": 3}
    assert rx.get_nonce("DEV_a").level == "READ"
    assert [nonce.id for nonce in rx.list_nonces()] == ["DEV_a", "DEV_b"]
    assert rx.delete_all_nonces()
    assert [seen.path for seen in daemon.seen if seen.method == "DELETE"] == [f"{NONCES}/DEV_a", f"{NONCES}/DEV_b"]


@pytest.mark.parametrize(("permission", "uses"), [("WRITE", 1), ("read", 1), ("READ", -2)])
def test_a_nonce_that_cannot_be_is_refused(reactor: Make, daemon: Stub, permission: str, uses: int) -> None:
    with pytest.raises(ValueError, match="must be"):
        reactor().add_nonce(permission, uses)
    assert daemon.seen == []


def test_a_webhook_is_made_for_who_is_outside_and_revoked(reactor: Make, daemon: Stub) -> None:
    daemon.on("POST", NONCES, Reply({"id": "DEV_a", "api_server": "https://lab.example"}, 201))
    daemon.on("DELETE", f"{NONCES}/DEV_a", Reply())
    rx = reactor()
    url = rx.create_webhook()
    assert url == f"https://lab.example/actors/v2/{ACTOR}/messages?x-nonce=DEV_a"
    assert daemon.seen[-1].body == {"level": "EXECUTE", "max_uses": -1}
    assert rx.delete_webhook(url)
    assert daemon.seen[-1].method == "DELETE"


@pytest.mark.parametrize(
    "url", ["", "https://x/actors/v2/a/messages", "https://x/y?x-nonce=a", "https://x/messages?x-nonce=a"]
)
def test_what_is_no_webhook_is_refused(reactor: Make, url: str) -> None:
    with pytest.raises(ValueError, match="messages"):
        reactor().delete_webhook(url)


def test_fields_of_actors(reactor: Make, daemon: Stub) -> None:
    daemon.on("GET", f"/v3/actors/{ACTOR}", Reply({"name": "counter"}))
    rx = reactor()
    assert rx.get_attr("name") == rx.actor_property("name", "me") == "counter"
    assert rx.get_attr("nothing") is None
    with pytest.raises(DaemonError) as refused:
        rx.get_attr("name", "unknown")
    assert refused.value.status == 404


def test_permissions_are_asked_of_the_actor_of_the_settings(reactor: Make, daemon: Stub) -> None:
    Path("config.yml").write_text("pipelines: {permission_manager: pems}")
    daemon.on("POST", messages("pems"), SENT)
    assert reactor().pemagent.grant("data", "/products/a b", "world") == "e1"
    wanted = {"uri": "agave://data/products/a b", "username": "world", "permission": "READ", "recursive": True}
    assert daemon.seen[0].body == {"message": wanted}
