"""Where a verb may read what was said; apart from what reads it, so that verbs start quickly."""

from __future__ import annotations

from enum import StrEnum


class Origin(StrEnum):
    """The places that have the log's records, by the log's positions."""

    LOG = "log"
    KAFKA = "kafka"
    ARCHIVE = "archive"  # and behind its end what Kafka has, or without Kafka the log
