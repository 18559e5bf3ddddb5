"""The log of a reactor: lines `<actor id> LEVEL text` without what must stay secret (spec/pipelinejobs 8.4)."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any, Iterable, Mapping
from urllib.parse import quote

HIDDEN = "*****"
_SHORTEST_SECRET = 5
"""Shorter texts are not hidden: they would be found in everything."""

_SECRET_NAMES = ("_abaco_access_token", "x-nonce", "_nonce", "_actor_configs")
_POST_SECONDS = 5.0


class Redactor:
    """Hides secrets in text."""

    def __init__(self, secrets: Iterable[Any]) -> None:
        texts = {str(secret) for secret in secrets if secret is not None}
        texts |= {quote(text, safe="") for text in texts}
        # The longest first: one secret may be a part of another.
        self._secrets = sorted((text for text in texts if len(text) >= _SHORTEST_SECRET), key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """The text with each secret replaced by `*****`."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return text


def secrets_of(environment: Mapping[str, str], namespace: str) -> list[str]:
    """The values of the environment that no log shows: access token, nonces, configs, and all of the namespace."""
    prefix = namespace.upper()
    return [value for name, value in environment.items() if name in _SECRET_NAMES or name.startswith(prefix)]


class _Line(logging.Formatter):
    """Each line of a text as one line of the log."""

    def __init__(self, actor_id: str, redact: Redactor) -> None:
        super().__init__("%(message)s")
        self._actor_id = actor_id
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        text = self._redact(super().format(record))
        return "\n".join(f"{self._actor_id} {record.levelname} {line}" for line in text.splitlines() or [""])


class _Screen(logging.Handler):
    """Writes to what standard error is at that moment."""

    def emit(self, record: logging.LogRecord) -> None:
        sys.stderr.write(self.format(record) + "\n")
        sys.stderr.flush()


class _File(logging.Handler):
    """Adds lines to a file, and keeps none of it open between them."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def emit(self, record: logging.LogRecord) -> None:
        try:
            with self._path.open("a", encoding="utf-8", errors="replace") as file:
                file.write(self.format(record) + "\n")
        except OSError as error:
            sys.stderr.write(f"a line of the log was not written to {self._path}: {error.strerror}\n")


class _Post(logging.Handler):
    """Posts each line as `{"text": …}`. One that cannot be delivered is dropped: a log must not stop the program."""

    def __init__(self, url: str, token: str | None) -> None:
        super().__init__()
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def emit(self, record: logging.LogRecord) -> None:
        import requests  # noqa: PLC0415 - most reactors never come here

        body = {"text": self.format(record)}
        try:
            requests.post(self._url, json=body, headers=self._headers, timeout=_POST_SECONDS)
        except requests.RequestException as error:
            sys.stderr.write(f"a line of the log was not delivered: {type(error).__name__}\n")


class Loggers:
    """`screen` writes to standard error, and to the file and the URL of the settings `logs`; `slack` posts to Slack.

    Settings: `logs.level`, `logs.file`, `logs.url` with `logs.token`, `slack.webhook`. Without a webhook `slack` is mute.
    """

    def __init__(self, actor_id: str, settings: Mapping[str, Any], redact: Redactor) -> None:
        logs, slack = settings.get("logs") or {}, settings.get("slack") or {}
        self._line = _Line(actor_id, redact)
        self._level = str(logs.get("level") or "DEBUG").upper()
        screen: list[logging.Handler] = [_Screen()]
        if logs.get("file"):
            screen.append(_File(Path(str(logs["file"]))))
        if logs.get("url"):
            screen.append(_Post(str(logs["url"]), logs.get("token")))
        self.screen = self._logger("screen", screen)
        self.slack = self._logger("slack", [_Post(str(slack["webhook"]), None)] if slack.get("webhook") else [])

    def _logger(self, name: str, handlers: list[logging.Handler]) -> logging.Logger:
        # Not from the registry of names: a second reactor in the process must not write each line twice.
        logger = logging.Logger(f"reactor.{name}")  # noqa: LOG001
        try:
            logger.setLevel(self._level)
        except ValueError:
            logger.setLevel(logging.DEBUG)
        for handler in handlers or [logging.NullHandler()]:
            handler.setFormatter(self._line)
            logger.addHandler(handler)
        return logger
