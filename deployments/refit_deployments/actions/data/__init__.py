"""The commands about a project's rows: ingest, contract, schema and quarantine. Nothing about models belongs here."""
