"""What monitoring reads (spec/actors-api 10.4)."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from abacod.api.calls import Call, Content
from abacod.metrics import CONTENT_TYPE, Metrics
from abacod.services.gauges import Gauges

EXPOSITION: Final = Content(("text/plain",), "Counters, histograms and gauges in Prometheus' text format.")


class MetricsApi:
    """The handler for scrapes, which change nothing."""

    def __init__(self, gauges: Gauges, metrics: Metrics) -> None:
        self._gauges = gauges
        self._metrics = metrics

    async def scrape(self, _: Call) -> web.StreamResponse:
        """GET /metrics: Give all metrics in Prometheus' text format."""
        gauges = await self._gauges.read()
        # With thousands of actors the text takes a while to write, during which others want to be served.
        text = await asyncio.to_thread(self._metrics.exposition, gauges)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE})
