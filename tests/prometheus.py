"""Reads what a scrape gives, with the parser of Prometheus' own client library."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample


@dataclass(frozen=True)
class Samples:
    """All samples of one scrape."""

    samples: tuple[Sample, ...]

    @property
    def names(self) -> set[str]:
        return {sample.name for sample in self.samples}

    def value(self, name: str, **labels: str) -> float:
        """The value of the one series with this name and exactly these labels."""
        (found,) = [each.value for each in self.samples if each.name == name and each.labels == labels]
        return float(found)

    def labels(self, name: str, label: str) -> set[str]:
        """The values that a label has in the series of this name."""
        return {sample.labels[label] for sample in self.samples if sample.name == name}


def samples(exposition: bytes) -> Samples:
    """What the text says; no series may be in it twice."""
    found = [each for family in text_string_to_metric_families(exposition.decode()) for each in family.samples]
    keys = [(each.name, tuple(sorted(each.labels.items()))) for each in found]
    assert len(keys) == len(set(keys))
    return Samples(tuple(found))
