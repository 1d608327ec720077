"""Identity: who people are and what they may do.

Owns tenants, users, roles, entitlements, sign-ins and their tokens (PostgreSQL schema `identity`),
and the keys that sign
tokens. It is an OpenID Connect provider: code flow with PKCE, refresh tokens that rotate,
discovery, keys, logout.
Hears nothing from the bus. Says UserLoggedIn, UserLoggedOut, LoginFailed, UserDisabled,
RefreshTokenReused on
identity.sessions, and streams revocations to every process that verifies tokens.
"""
