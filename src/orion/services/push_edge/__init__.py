"""Push edge: the WebSocket that carries everything to a screen. Owns sockets and their
subscriptions, keeps nothing.

Hears: PullTicks of market data, WatchRFQ, WatchTrades, WatchNotifications (one stream each per
process, whatever the number of sockets), revocations. Says: snapshots first, then updates; prices
conflated, everything else complete and numbered.
"""
