"""Market data projection: the newest price of everything, and five-second bars. Keeps the cache,
and the tables for when it is lost.

Hears: `marketdata.ticks`, `marketdata.status`, and how the feeds do. Says, over RPC: snapshots, a
live stream of batches, history.
"""
