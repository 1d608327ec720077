"""Five simulated dealers.

Owns: nothing durable. Hears: quote requests on the dealers' stream, prices on the market data
stream. Says: quotes, passes and
last-look answers, on the same stream that an outside dealer uses; nothing else of the platform is
within their reach. Given
the seed, the requests and the prices, their answers are always the same.
"""
