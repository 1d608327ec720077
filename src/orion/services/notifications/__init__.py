"""Notifications: what a user should know without looking for it. Hears rfq.lifecycle and
execution.trades; owns what was read.
"""
