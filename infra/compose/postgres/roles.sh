#!/usr/bin/env bash
# Run once, when the database is made: each service has a role and a database of its own, and can reach no other's.
set -euo pipefail

for service in refit prefect mlflow; do
  psql --username=postgres --set=ON_ERROR_STOP=1 --quiet \
    --set=service="$service" --set=password="$(< "${SECRETS:-/run/secrets}/${service}_role")" << 'SQL'
CREATE ROLE :"service" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'password';
CREATE DATABASE :"service" OWNER :"service";
REVOKE ALL ON DATABASE :"service" FROM PUBLIC;
SQL
done
