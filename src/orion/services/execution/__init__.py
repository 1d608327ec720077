"""Trades.

Owns: trades, one per accepted quote. Hears: rfq.lifecycle (QuoteAccepted that is final,
LastLookPassed). Says: TradeExecuted
on execution.trades, in the same write as the trade and the position it has heard. Tables and
blotter are projected after it.
"""
