"""A stand-in for Microsoft Entra ID on 127.0.0.1: issues application tokens for development. See README.md."""
