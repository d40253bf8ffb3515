"""Azure on loopback: OpenAI embeddings, AI Search and managed identity, for the real SDKs.

It follows what was seen on the wire and never what would be convenient: answers come out of order,
documents are refused inside a success, deletes take their time. Start it with `emulator()`.
"""
