"""Signing in by an identity provider (OpenID Connect Core 1.0, authorisation code flow with PKCE)."""
