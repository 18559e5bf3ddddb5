"""What a batch job's notifications ask for, and what they are told (spec/pipelinejobs 7.2), where this server tells them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlsplit

from abacod.errors import BatchJobRefused

# Also as clients write it that quote the whole URL.
_MACRO: Final = re.compile(r"(?:\$|%24)(?:\{|%7[Bb])([A-Z_]+)(?:\}|%7[Dd])", re.ASCII)
# The longest value that is put into a URL, in characters.
_LONGEST_VALUE: Final = 500
_LONGEST_URL: Final = 8192
_MOST: Final = 50
_EVERYTHING: Final = "*"


@dataclass(frozen=True, slots=True)
class Notification:
    """An address that is told a job's statuses: that one, or every one; once, or each time."""

    url: str
    event: str
    persistent: bool

    def wants(self, status: str) -> bool:
        """Whether it is told this status."""
        return self.event in (_EVERYTHING, status)


def notifications_of(definition: Mapping[str, Any]) -> Sequence[Notification]:
    """The notifications of a job definition.

    Raises:
        BatchJobRefused: they are none; the message names the field.
    """
    given = definition.get("notifications")
    if given is None:
        return []
    if not isinstance(given, list) or len(given) > _MOST:
        raise BatchJobRefused(
            f"notifications: give an array of at most {_MOST} objects with url, event and persistent."
        )
    return [_notification(f"notifications.{number}", each) for number, each in enumerate(given)]


def expanded(url: str, values: Mapping[str, str]) -> str:
    """The URL with its macros, as `${STATUS}`, replaced by values that are quoted for a URL; others stay."""

    def replaced(match: re.Match[str]) -> str:
        value = values.get(match[1])
        return match[0] if value is None else quote(value[:_LONGEST_VALUE], safe="", errors="replace")

    return _MACRO.sub(replaced, url)


def macros(job: Mapping[str, Any], error: str) -> Mapping[str, str]:
    """What the macros stand for, given the job as it is told."""
    texts = {
        name: str(job.get(name) or "")
        for name in ("id", "name", "owner", "tenantId", "appId", "archivePath", "archiveSystem")
    }
    return {
        **dict.fromkeys(("STATUS", "JOB_STATUS", "EVENT"), str(job["status"])),
        **dict.fromkeys(("JOB_ID", "UUID"), texts["id"]),
        **dict.fromkeys(("JOB_OWNER", "OWNER"), texts["owner"]),
        **dict.fromkeys(("JOB_APP_ID", "APP_ID"), texts["appId"]),
        **dict.fromkeys(("JOB_ARCHIVE_PATH", "ARCHIVE_PATH"), texts["archivePath"]),
        **dict.fromkeys(("JOB_ARCHIVE_SYSTEM", "ARCHIVE_SYSTEM"), texts["archiveSystem"]),
        **dict.fromkeys(("JOB_ERROR", "JOB_MESSAGE"), error),
        "JOB_NAME": texts["name"],
        "JOB_TENANT": texts["tenantId"],
        "JOB_URL": str(job["_links"]["self"]["href"]),
    }


def _notification(field: str, given: Any) -> Notification:
    if not isinstance(given, dict):
        raise BatchJobRefused(f"{field}: give an object with url, event and persistent.")
    url, event, persistent = given.get("url"), given.get("event", _EVERYTHING), given.get("persistent", False)
    if not isinstance(url, str) or len(url) > _LONGEST_URL or not _is_url(url):
        raise BatchJobRefused(f"{field}.url: give an http or https URL of up to {_LONGEST_URL} characters.")
    if not isinstance(event, str):
        raise BatchJobRefused(f"{field}.event: give * or the name of a status.")
    return Notification(url, event.upper(), persistent in (True, "true", "True"))


def _is_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and bool(url.encode())
    except ValueError:
        return False
