"""Reference: instruments, venues and dealers. Owns the words everybody else deals in.

Hears: its own events (so that every copy knows), the feeds (which instruments come from a
recording). Says: InstrumentUpdated, VenueUpdated, LPConfigUpdated on `admin.changes`, when the seed
files differ from what is stored.
"""
