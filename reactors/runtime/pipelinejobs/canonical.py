"""The URLs under which records name actors, apps, executions and batch jobs (spec/pipelinejobs 8.1)."""

from __future__ import annotations

import re

_APP = re.compile(r"[a-zA-Z0-9_\-.]+-(?:0|[1-9][0-9]*)[0-9.]+(?:u[0-9]+)?")
_LONGEST_APP = 64
_BATCH_JOB = "-007"


class Canonical:
    """Makes the URLs of a platform. What is a URL already stays as it is."""

    def __init__(self, api_server: str) -> None:
        self._api = api_server.rstrip("/")

    def actor(self, actor_id: str) -> str:
        """The URL of an actor."""
        return self._url("actors", actor_id)

    def app(self, app_id: str) -> str:
        """The URL of an app."""
        return self._url("apps", app_id)

    def system(self, system_id: str) -> str:
        """The URL of a system."""
        return self._url("systems", system_id)

    def job(self, job_id: str) -> str:
        """The URL of a batch job."""
        return self._url("jobs", job_id)

    def execution(self, actor_id: str, execution_id: str) -> str:
        """The URL of an execution."""
        return execution_id if _is_url(execution_id) else f"{self.actor(actor_id)}/executions/{execution_id}"

    def agent(self, agent: str) -> str:
        """The URL of what manages a job: an app if it is named like one, else an actor."""
        if not agent:
            return ""
        is_app = len(agent) <= _LONGEST_APP and _APP.fullmatch(agent) is not None
        return self.app(agent) if is_app else self.actor(agent)

    def task(self, agent: str, task: str) -> str:
        """The URL of the run that manages a job: a batch job if its id says so, else an execution of the agent."""
        if not task:
            return ""
        if task.endswith(_BATCH_JOB):
            return self.job(task)
        return task if _is_url(task) else f"{self.agent(agent)}/executions/{task}"

    def _url(self, service: str, identifier: str) -> str:
        return identifier if _is_url(identifier) else f"{self._api}/{service}/v2/{identifier}"


def _is_url(text: str) -> bool:
    return text.startswith(("http://", "https://"))
