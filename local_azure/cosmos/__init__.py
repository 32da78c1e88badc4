"""A Cosmos DB (NoSQL API) emulator that the unmodified azure-cosmos SDK talks to on 127.0.0.1."""
