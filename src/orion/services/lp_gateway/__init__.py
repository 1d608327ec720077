"""The dealers' door.

Owns: dealers' streams, and nothing durable. Hears: rfq.lifecycle (whom to ask, whom to ask for a
last look, what ended) and
dealers. Says: QuoteRequest, LastLookRequest, RequestEnded to dealers; their answers, in batches, to
the RFQ service, which
alone decides what counts. After a restart the open requests are rebuilt from the log. Nothing here
reaches execution.
"""
