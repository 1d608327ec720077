"""Notifications: what a user should know without looking for it. Hears rfq.lifecycle and
execution.trades for those who trade, dlq.changes for those who run the platform; owns what was
read.
"""
