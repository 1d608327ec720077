"""Workspace: owns what a user arranged for themselves (preferences, watchlists). Hears and says
nothing on the bus.
"""
