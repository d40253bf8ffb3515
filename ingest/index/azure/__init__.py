"""The index on Azure AI Search."""
