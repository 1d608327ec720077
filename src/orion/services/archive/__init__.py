"""The archive: keeps what was said as Parquet files in the blobs, for good. Hears every topic, owns
its blobs, says nothing. A role of the cluster profile.
"""
