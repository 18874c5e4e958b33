#!/usr/bin/env bash
# Runs once, when the database is created: each service gets a role and a database of its own, without access to others.
# Refit does not own the ledger's tables: the role refit can append and read, refit_metrics can read, and neither can
# change or delete entries. The groups are those of `refit ledger roles`.
set -euo pipefail

secrets=${SECRETS:-/run/secrets}

sql() { # DATABASE [VARIABLE=VALUE ...]: runs the SQL on standard input
  local database=$1
  shift
  psql --username=postgres --dbname="$database" --set=ON_ERROR_STOP=1 --quiet "${@/#/--set=}"
}

login() { # ROLE PASSWORD_FILE; psql reads the file, since other users can see a command line
  FILE="$secrets/$2" sql postgres role="$1" << 'SQL'
\set password `cat "$FILE"`
CREATE ROLE :"role" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'password';
SQL
}

database() { # NAME OWNER
  sql postgres name="$1" owner="$2" << 'SQL'
CREATE DATABASE :"name" OWNER :"owner";
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
}

login prefect prefect_role
database prefect prefect
login mlflow mlflow_role
database mlflow mlflow

login refit_owner refit_owner_role
login refit refit_role
login refit_metrics refit_metrics_role
database refit refit_owner
sql refit << 'SQL'
CREATE ROLE refit_writer NOLOGIN;
CREATE ROLE refit_reader NOLOGIN;
GRANT refit_writer TO refit;
GRANT refit_reader TO refit_metrics;
GRANT CONNECT ON DATABASE refit TO refit_writer, refit_reader;
GRANT USAGE ON SCHEMA public TO refit_writer, refit_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE refit_owner IN SCHEMA public GRANT SELECT, INSERT ON TABLES TO refit_writer;
ALTER DEFAULT PRIVILEGES FOR ROLE refit_owner IN SCHEMA public GRANT SELECT ON TABLES TO refit_reader;
SQL
