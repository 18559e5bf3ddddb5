from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from structlog.testing import capture_logs

from abacod.clock import SystemClock
from abacod.config import WebhookSettings
from abacod.services.cron import Cron
from abacod.services.tokens import SigningKey
from tests.abacod.api.serving import Client, Serving, serving
from tests.fakes import FakeContainer


async def test_what_is_wrong_with_a_link_is_told_in_the_documented_words(alice: Client, bob: Client) -> None:
    hers, other = await alice.register(), await alice.register()
    for missing in ("JWpkNmBwKewYo", "no-such-alias"):
        answer = await alice.post("/v3/actors", json={"image": "image", "link": missing}, expect=400)
        assert answer.message.startswith("Invalid link parameter; unable to retrieve linked actor data.")
    denied = await bob.post("/v3/actors", json={"image": "image", "link": hers["id"]}, expect=400)
    assert denied.message == (
        "Invalid link parameter. The link must be a valid actor id or alias for which you have EXECUTE permission."
    )
    await alice.share(hers["id"], "bob", "READ")
    await bob.post("/v3/actors", json={"image": "image", "link": hers["id"]}, expect=400)
    await alice.share(hers["id"], "bob", "EXECUTE")
    await bob.post("/v3/actors", json={"image": "image", "link": hers["id"]}, expect=201)

    to_itself = await alice.put(f"/v3/actors/{hers['id']}", json={"image": "image", "link": hers["id"]}, expect=400)
    assert to_itself.message == "Invalid link parameter. An actor cannot link to itself."
    await alice.put(f"/v3/actors/{other['id']}", json={"image": "image", "link": hers["id"]}, expect=200)
    circle = await alice.put(f"/v3/actors/{hers['id']}", json={"image": "image", "link": other["id"]}, expect=400)
    assert "this update would result in a cycle of linked actors" in circle.message


async def test_a_link_gets_events_and_a_webhook_may_be_another_actor_s_messages(alice: Client, served: Serving) -> None:
    containers: dict[str, list[FakeContainer]] = {"linked": [], "called": []}

    async def note(container: FakeContainer) -> int:
        containers[container.spec.image].append(container)
        return 0

    for image in containers:
        served.engine.images.add(image)
        served.engine.programs[image] = note
    linked, called = [await alice.register(image=image, stateless=False) for image in containers]
    nonce = (await alice.post(f"/v3/actors/{called['id']}/nonces", json={"level": "EXECUTE"}, expect=201)).result["id"]
    webhook = f"{served.url}/v3/actors/{called['id']}/messages?x-nonce={nonce}"
    with capture_logs() as lines:
        source = await alice.register(link=linked["id"], webhook=webhook)
        sent = await alice.post(f"/v3/actors/{source['id']}/messages", data={"message": "text"}, expect=200)

        async def both_told() -> bool:
            return all(len(each) == 2 for each in containers.values())

        await served.until(both_told)
    assert nonce not in str(lines)
    for told in containers.values():
        ready, complete = (json.loads(each.spec.environment["MSG"]) for each in told)
        assert ready["event_type"] == "ACTOR_READY"
        assert complete["event_type"] == "EXECUTION_COMPLETE"
        assert complete["execution_id"] == sent.result["execution_id"]
        assert (complete["actor_id"], complete["_abaco_webhook"]) == (source["id"], webhook)
        assert told[0].spec.environment["_abaco_Content_Type"] == "application/json"
    assert containers["linked"][0].spec.environment["_abaco_username"] == "Abaco Event"
    assert containers["called"][0].spec.environment["_abaco_username"] == "alice"


async def test_private_webhooks_are_refused_at_registration_where_that_is_set(
    tmp_path: Path, signing_key: SigningKey
) -> None:
    async with serving(tmp_path, signing_key, webhooks=WebhookSettings(forbid_private_addresses=True)) as served:
        root = await served.user("root", "abaco_admin")
        refused = await root.post("/v3/actors", json={"image": "image", "webhook": "http://10.0.0.1/"}, expect=400)
        assert refused.message == "Invalid actor description: webhook: this server calls public addresses only."


async def test_a_schedule_runs_and_its_next_run_is_shown(alice: Client, served: Serving) -> None:
    actor = await alice.register(cron_schedule="now + 2 hours")
    await served.until_status(alice, f"/v3/actors/{actor['id']}", "READY")
    # As the loop does, but at once.
    await Cron(served.database, served.daemon.core.mailboxes, SystemClock()).run_once()
    (execution,) = (await alice.get(f"/v3/actors/{actor['id']}/executions", expect=200)).result["executions"]
    assert (await served.until_ended(alice, actor["id"], execution["id"]))["executor"] == "cron"
    shown = (await alice.get(f"/v3/actors/{actor['id']}", expect=200)).result["cron_next_ex"]
    first, then = (datetime.strptime(text, "%Y-%m-%d %H") for text in (actor["cron_next_ex"], shown))  # noqa: DTZ007 - both in UTC
    assert (then - first).total_seconds() == 2 * 3600
