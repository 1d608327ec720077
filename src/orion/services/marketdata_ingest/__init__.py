"""Market data ingest: believes no vendor. Owns the feeds, what their rows mean, and whether they
live.

Hears: feeds (simulator, recordings, venues) and reference data at its start. Says: every usable
tick on `marketdata.ticks`, raw; MarketDataStaleDetected and MarketDataRecovered on
`marketdata.status`; once a second, over RPC, how the feeds do.
"""
