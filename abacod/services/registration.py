"""What a registration may ask for: the rules of spec/actors-api 2.1 that need more than the field itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from abacod.errors import InvalidField, NotPermitted
from abacod.ids import ActorId
from abacod.models.actor import NATIVE, ActorDefinition, parse_memory
from abacod.models.message import MAX_ENVIRONMENT_STRING_BYTES
from abacod.models.schedule import Schedule
from abacod.models.user import Caller
from abacod.services.environment import is_reserved
from abacod.services.webhooks import names_private_address

# Far more than any machine has, and far less than what the engine's numbers overflow at. In bytes.
_MAX_MEMORY: Final = 2**53
# What servers accept at most, and little enough for an event that tells it. In characters.
_MAX_WEBHOOK: Final = 8192
_HINT_ERRORS: Final = "\"'{}[]"


def check_definition(
    definition: ActorDefinition,
    caller: Caller,
    *,
    queues: Collection[str],
    run_as_executor_tenants: Collection[str],
    now: datetime,
    forbid_private_webhooks: bool = False,
    previous: ActorDefinition | None = None,
) -> None:
    """Refuse what the caller may not ask for or what makes no sense; `previous` is the definition that is replaced.

    Raises:
        NotPermitted: a property needs the role abaco_privileged or abaco_admin.
        InvalidField: a value is not allowed; the message names the field.
    """
    _check_elevated(definition, caller)
    _check_users(definition, caller, run_as_executor_tenants)
    if definition.max_workers is not None and not definition.stateless:
        raise InvalidField("Invalid actor description: max_workers: stateful actors can only have 1 worker.")
    if previous is not None and definition.stateless and not previous.stateless:
        raise InvalidField(
            "Invalid actor description: an actor that was not stateless cannot be updated to be stateless."
        )
    if definition.queue not in queues:
        raise InvalidField(f"Invalid queue name. The queue must be one of {', '.join(queues)}.")
    _check_limits(definition)
    _check_texts(definition)
    _check_webhook(definition.webhook, forbid_private=forbid_private_webhooks)
    _check_environment(definition.default_environment)
    if definition.cron_schedule is not None and (
        previous is None or previous.cron_schedule != definition.cron_schedule
    ):
        parse_schedule(definition.cron_schedule, now)


def parse_schedule(text: str, now: datetime) -> Schedule:
    """The schedule of a `cron_schedule`.

    Raises:
        InvalidField: it cannot be read; the message says why.
    """
    try:
        return Schedule.parse(text, now)
    except (ValueError, OverflowError) as error:
        raise InvalidField(f"Invalid actor description: cron_schedule: {error}") from error


def check_link(actor_id: ActorId, target: ActorId, links: Mapping[ActorId, ActorId]) -> None:
    """Refuse a link that closes a circle; `links` are the tenant's present ones (spec/actors-api 8.2).

    Raises:
        InvalidField: the actor would link to itself, directly or through others.
    """
    if target == actor_id:
        raise InvalidField("Invalid link parameter. An actor cannot link to itself.")
    if actor_id in _followed(target, links):
        raise InvalidField("Invalid link parameter: this update would result in a cycle of linked actors.")


def check_alias_target(target: ActorId, links: Mapping[ActorId, ActorId]) -> None:
    """Refuse an alias that closes a circle of links; `links` are the tenant's with that alias in effect.

    Raises:
        InvalidField: what the alias stands for would link to itself, directly or through others.
    """
    if target in _followed(target, links):
        raise InvalidField("Invalid alias description: this update would result in a cycle of linked actors.")


def _followed(start: ActorId, links: Mapping[ActorId, ActorId]) -> set[ActorId]:
    """Where the links lead from `start`; to itself only if they lead back to it."""
    reached: set[ActorId] = set()
    follower = links.get(start)
    while follower is not None and follower not in reached:
        reached.add(follower)
        follower = links.get(follower)
    return reached


def _check_elevated(definition: ActorDefinition, caller: Caller) -> None:
    if caller.is_elevated:
        return
    asked = {
        "make privileged actors": definition.privileged,
        "use container uid": definition.use_container_uid,
        "set max workers": definition.max_workers is not None,
        "set max CPUs": definition.max_cpus is not None,
        "set mem limit": definition.mem_limit is not None,
        "set queue": definition.queue != "default",
    }
    for what, wanted in asked.items():
        if wanted:
            raise NotPermitted(f"Not authorized -- only admins and privileged users can {what}.")


def _check_users(definition: ActorDefinition, caller: Caller, run_as_executor_tenants: Collection[str]) -> None:
    if definition.run_as_executor and definition.use_container_uid:
        raise InvalidField("Cannot set both use_container_uid and run_as_executor as true")
    if definition.run_as_executor and caller.tenant not in run_as_executor_tenants:
        raise InvalidField("run_as_executor isn't supported for your tenant")


def _check_limits(definition: ActorDefinition) -> None:
    if definition.mem_limit is not None:
        try:
            memory = parse_memory(definition.mem_limit)
        except ValueError as error:
            raise InvalidField(f"Invalid actor description: mem_limit: {error}") from error
        if memory is not None and memory > _MAX_MEMORY:
            raise InvalidField("Invalid actor description: mem_limit: no machine has that much memory.")
    if definition.max_cpus is not None and definition.max_cpus < 1 and definition.max_cpus != -1:
        raise InvalidField("Invalid actor description: max_cpus: give billionths of a CPU, or -1 for no limit.")
    if definition.max_workers is not None and definition.max_workers < 1:
        raise InvalidField("Invalid actor description: max_workers: give 1 or more.")


def _check_texts(definition: ActorDefinition) -> None:
    if definition.image.startswith(NATIVE):
        raise InvalidField(f"Invalid actor description: image: {NATIVE}… is kept for built-in reactors; name an image.")
    if any(sign.isspace() or not sign.isprintable() for sign in definition.image):
        raise InvalidField("Invalid actor description: image: an image name has no spaces or control characters.")
    for hint in definition.hints:
        for sign in _HINT_ERRORS:
            if sign in hint:
                raise InvalidField(
                    f"Hints must be simple stings or numbers, no lists or dicts. Error character: {sign}"
                )
    for field, text in (("name", definition.name or ""), ("description", definition.description)):
        if "\0" in text:
            raise InvalidField(f"Invalid actor description: {field}: it contains a NUL character; remove it.")


def _check_webhook(webhook: str, *, forbid_private: bool) -> None:
    if not webhook:
        return
    if not _is_web_address(webhook):
        raise InvalidField("Invalid actor description: webhook: give an http:// or https:// URL.")
    if len(webhook) > _MAX_WEBHOOK:
        raise InvalidField(f"Invalid actor description: webhook: give a URL of at most {_MAX_WEBHOOK} characters.")
    if forbid_private and names_private_address(webhook):
        raise InvalidField("Invalid actor description: webhook: this server calls public addresses only.")


def _is_web_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and text.isprintable() and " " not in text


def _check_environment(variables: Mapping[str, str]) -> None:
    for name, value in variables.items():
        problem = environment_problem(name, value)
        if problem is None and is_reserved(name):
            problem = "this name is reserved"
        if problem:
            raise InvalidField(f"Invalid actor description: default_environment: {name!r}: {problem}.")


def environment_problem(name: str, value: str) -> str | None:
    """What keeps this pair from being an environment variable, None if nothing does."""
    if not name or "=" in name or "\0" in name:
        return "a variable name is not empty and has no equals sign and no NUL character"
    if "\0" in value:
        return "the value contains a NUL character"
    if len(f"{name}={value}".encode()) >= MAX_ENVIRONMENT_STRING_BYTES:
        return f"name and value together are longer than {MAX_ENVIRONMENT_STRING_BYTES - 2} bytes"
    return None
