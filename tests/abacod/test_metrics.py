from __future__ import annotations

from abacod.metrics import Gauge, Metrics
from tests.prometheus import samples


def test_what_parts_report_is_counted() -> None:
    metrics = Metrics()
    metrics.request_served("/actors/{actor}", "GET", 200, 0.003)
    metrics.request_served("/actors/{actor}", "GET", 201, 0.3)
    metrics.committed(0.002, 7)
    metrics.execution_completed(0.4, 12)
    metrics.execution_failed()
    found = samples(metrics.exposition([]))
    of_route = {"route": "/actors/{actor}", "method": "GET", "status": "2xx"}
    assert found.value("abacod_http_request_duration_seconds_count", **of_route) == 2
    assert found.value("abacod_http_request_duration_seconds_bucket", **of_route, le="0.005") == 1
    assert found.value("abacod_writes_total") == 7
    assert found.value("abacod_commit_duration_seconds_count") == 1
    assert found.value("abacod_execution_start_latency_seconds_sum") == 0.4
    assert found.value("abacod_execution_duration_seconds_sum") == 12
    for status in ("COMPLETE", "ERROR"):
        assert found.value("abacod_executions_total", status=status) == 1


def test_the_process_tells_of_itself() -> None:
    found = samples(Metrics().exposition([]))
    assert found.value("process_resident_memory_bytes") > 0
    assert found.value("python_gc_collections_total", generation="0") >= 0


def test_gauges_belong_to_one_scrape() -> None:
    metrics = Metrics()
    gauge = Gauge("abacod_things", "Things.", ("kind",), [(("a",), 3)])
    assert samples(metrics.exposition([gauge])).value("abacod_things", kind="a") == 3
    assert "abacod_things" not in samples(metrics.exposition([])).names


def test_methods_that_a_client_invents_are_one_series() -> None:
    metrics = Metrics()
    for method in ("FOO", "BAR"):
        metrics.request_served("none", method, 404, 0)
    found = samples(metrics.exposition([]))
    assert found.value("abacod_http_request_duration_seconds_count", route="none", method="other", status="4xx") == 2


def test_clocks_of_two_machines_make_no_negative_time() -> None:
    metrics = Metrics()
    metrics.execution_completed(-0.2, -0.1)
    found = samples(metrics.exposition([]))
    assert found.value("abacod_execution_start_latency_seconds_sum") == 0
    assert found.value("abacod_execution_duration_seconds_sum") == 0


def test_two_daemons_in_one_process_count_apart() -> None:
    first, second = Metrics(), Metrics()
    first.committed(0.1, 1)
    assert samples(second.exposition([])).value("abacod_writes_total") == 0
