"""Requests for quote, from the ask to the agreed trade.

Owns: RFQs and the quotes on them. Hears: commands of traders (gRPC), dealers' answers (gRPC from
the gateway), execution.trades,
market data, reference data, who of the dealers is connected. Says: rfq.lifecycle and rfq.quotes.
Time acts through the owner's
durable timers: expiry and the end of a dealer's last look.
"""
