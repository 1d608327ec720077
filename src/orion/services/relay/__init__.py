"""The relay as a service of the cluster profile: puts the log on Kafka. Owns: Kafka's topics and
the marks of how far they are. Does not own: the log."""
