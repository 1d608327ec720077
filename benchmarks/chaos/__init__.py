"""`orion chaos`: a platform of its own under load, hurt again and again, and afterwards compared
with what its clients were told.
"""
