"""The workstation's door: REST under /api/v1, the built web, sign-in. Owns nothing but browser
sessions; asks the services by gRPC
with the user's own token and says what they say.
"""
