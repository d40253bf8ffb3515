"""Access to Azure services: keyless sign-in, HTTP clients, error tables, role assignments."""
