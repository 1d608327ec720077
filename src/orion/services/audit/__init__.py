"""Audit: owns audit.audit_log, the append-only record of every event but ticks, chained, signed and
anchored outside the database.
Hears every topic with `audit` among its consumers; says nothing.
"""
