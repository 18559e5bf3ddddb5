"""The properties of an actor: their defaults, and other values."""

from __future__ import annotations

from typing import Any

# What an actor shows whose user gave nothing but an image (spec/actors-api 1.8), but for ids, times and links.
DEFAULTS: dict[str, Any] = {
    "name": None,
    "description": "",
    "image": "image",
    "owner": "alice",
    "stateless": True,
    "state": {},
    "type": "none",
    "link": "",
    "webhook": "",
    "hints": [],
    "token": False,
    "privileged": False,
    "use_container_uid": False,
    "run_as_executor": False,
    "default_environment": {},
    "mounts": [],
    "max_workers": None,
    "max_cpus": None,
    "mem_limit": None,
    "queue": "default",
    "revision": 1,
    "log_ex": None,
    "cron_schedule": None,
    "cron_on": False,
    "cron_next_ex": None,
    "uid": 1001,
    "gid": 1002,
    "tasdir": None,
}
# A value other than the default for every property that a form or query can carry, as text, and how it is shown.
ALL_FIELDS: list[tuple[str, str, Any]] = [
    ("name", "counter", "counter"),
    ("description", "It counts. Ünïcode, too.", "It counts. Ünïcode, too."),
    ("default_environment", '{"A": "1", "b": ""}', {"A": "1", "b": ""}),
    ("hints", "sync", ["sync"]),
    ("webhook", "https://example.org/hook?a=b", "https://example.org/hook?a=b"),
    ("stateless", "false", False),
    ("stateless", "0", False),
    ("stateless", "True", True),
    ("token", "TRUE", True),
    ("token", "1", True),
    ("privileged", "true", True),
    ("use_container_uid", "true", True),
    ("max_workers", "3", 3),
    ("max_cpus", "500000000", 500_000_000),
    ("max_cpus", "-1", -1),
    ("mem_limit", "512m", "512m"),
    ("queue", "special", "special"),
    ("log_ex", "60", 60),
    ("cron_schedule", "now + 1 hour", "now + 1 hour"),
    ("cron_on", "true", True),
    ("type", "json", "json"),
]
