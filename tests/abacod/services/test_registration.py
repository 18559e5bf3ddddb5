from __future__ import annotations

from typing import Any

import pytest

from abacod.errors import InvalidField, NotPermitted
from abacod.ids import ActorId
from abacod.models.actor import ActorDefinition
from abacod.models.user import Caller
from abacod.services.registration import check_alias_target, check_definition, check_link, environment_problem
from tests.factories import ADA, ADMIN, PRIVILEGED, START, definition


def check(caller: Caller = ADMIN, previous: ActorDefinition | None = None, **given: Any) -> None:
    check_definition(
        definition(**given),
        caller,
        queues=("default", "special"),
        run_as_executor_tenants=("dev",),
        now=START,
        previous=previous,
    )


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"privileged": True}, "make privileged actors"),
        ({"use_container_uid": True}, "use container uid"),
        ({"max_workers": 2}, "set max workers"),
        ({"max_cpus": 1}, "set max CPUs"),
        ({"max_cpus": 0}, "set max CPUs"),
        ({"mem_limit": "1g"}, "set mem limit"),
        ({"queue": "special"}, "set queue"),
    ],
)
def test_elevated_properties_need_a_role(given: dict[str, Any], what: str) -> None:
    with pytest.raises(NotPermitted, match=f"^Not authorized -- only admins and privileged users can {what}.$"):
        check(ADA, **given)
    if given != {"max_cpus": 0}:
        check(ADMIN, **given)
        check(PRIVILEGED, **given)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"stateless": False, "max_workers": 1}, "stateful actors can only have 1 worker"),
        ({"queue": "nowhere"}, "Invalid queue name"),
        ({"run_as_executor": True, "use_container_uid": True}, "Cannot set both"),
        ({"mem_limit": "much"}, "mem_limit"),
        ({"mem_limit": "0"}, "mem_limit"),
        ({"max_cpus": 0}, "max_cpus"),
        ({"max_cpus": -2}, "max_cpus"),
        ({"max_workers": 0}, "max_workers"),
        ({"image": "an image"}, "image"),
        ({"image": "image\n"}, "image"),
        ({"hints": ("a", "b[")}, r"Error character: \["),
        ({"hints": ('"',)}, 'Error character: "'),
        ({"name": "a\0"}, "name"),
        ({"description": "\0"}, "description"),
        ({"webhook": "ftp://host/"}, "webhook"),
        ({"webhook": "http://"}, "webhook"),
        ({"webhook": "http://[bad"}, "webhook"),
        ({"webhook": "http://a b"}, "webhook"),
        ({"webhook": "http://host/" + "a" * 8192}, "webhook: give a URL of at most 8192 characters"),
        ({"default_environment": {"": "x"}}, "default_environment"),
        ({"default_environment": {"a=b": "x"}}, "default_environment"),
        ({"default_environment": {"a": "\0"}}, "default_environment"),
        ({"default_environment": {"a": "x" * 131_072}}, "131070 bytes"),
        ({"default_environment": {"_abaco_actor_id": "x"}}, "this name is reserved"),
        ({"cron_schedule": "whenever"}, "cron_schedule"),
    ],
)
def test_what_makes_no_sense_is_refused_and_named(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidField, match=problem):
        check(**given)


def test_run_as_executor_needs_a_tenant_that_allows_it() -> None:
    check(ADA, run_as_executor=True)
    with pytest.raises(InvalidField, match="isn't supported for your tenant"):
        check_definition(
            definition(run_as_executor=True), ADA, queues=("default",), run_as_executor_tenants=(), now=START
        )


def test_everything_at_once_is_allowed() -> None:
    check(
        hints=("sync", "3"),
        webhook="https://host:8080/path?x=1",
        max_workers=2,
        max_cpus=-1,
        mem_limit="512m",
        queue="special",
        default_environment={"A": "ü" * 100, "lower case": ""},
        cron_schedule="now + 2 hours",
        log_ex=-5,
    )


def test_a_stateful_actor_stays_stateful() -> None:
    check(previous=definition(stateless=True), stateless=False)
    check(previous=definition(stateless=False), stateless=False)
    with pytest.raises(InvalidField, match="cannot be updated to be stateless"):
        check(previous=definition(stateless=False), stateless=True)


def test_a_schedule_that_has_begun_may_stay_but_not_be_set_anew() -> None:
    past = "2020-01-01 00 + 1 day"
    check(previous=definition(cron_schedule=past), cron_schedule=past)
    with pytest.raises(InvalidField, match="The starting datetime is old"):
        check(previous=definition(), cron_schedule=past)


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1:8000", "[::1]", "user@[::ffff:10.0.0.1]"])
def test_webhooks_at_private_addresses_are_refused_where_that_is_asked_for(host: str) -> None:
    def register(*, forbid: bool) -> None:
        check_definition(
            definition(webhook=f"http://{host}/"),
            ADA,
            queues=("default",),
            run_as_executor_tenants=(),
            now=START,
            forbid_private_webhooks=forbid,
        )

    register(forbid=False)
    with pytest.raises(InvalidField, match="webhook: this server calls public addresses only"):
        register(forbid=True)


def test_circles_of_links() -> None:
    a, b, c, d = (ActorId(name) for name in "abcd")
    check_link(a, b, {b: c, c: d})
    check_link(d, b, {b: c, c: b})
    for links in ({b: a}, {b: c, c: a}, {b: c, c: d, d: a}):
        with pytest.raises(InvalidField, match="cycle of linked actors"):
            check_link(a, b, links)
    with pytest.raises(InvalidField, match="cannot link to itself"):
        check_link(a, a, {})


def test_circles_of_links_through_an_alias() -> None:
    a, b, c = (ActorId(name) for name in "abc")
    for links in ({}, {a: b}, {b: a}, {a: b, b: c, c: b}):
        check_alias_target(a, links)
    for links in ({a: a}, {a: b, b: a}, {a: b, b: c, c: a}):
        with pytest.raises(InvalidField, match="cycle of linked actors"):
            check_alias_target(a, links)


def test_the_longest_variable() -> None:
    assert environment_problem("A", "x" * (131_072 - 3)) is None
    assert environment_problem("A", "x" * (131_072 - 2)) is not None
