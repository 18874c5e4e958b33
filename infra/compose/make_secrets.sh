#!/usr/bin/env bash
# Makes the secrets of compose.yaml in ./secrets; secrets that exist are kept.
#
#   infra/compose/make_secrets.sh [DIRECTORY]     set REFIT to the command if it is not .venv/bin/refit
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
secrets=${1:-$here/secrets}
refit=${REFIT:-$here/../../.venv/bin/refit}

# Only you can enter the directory; the files are readable, since services in containers run as other users.
mkdir -p "$secrets"
chmod 0700 "$secrets"
umask 0077

write() { # NAME: stores standard input as the secret, unless it exists
  local file="$secrets/$1"
  if [ -e "$file" ]; then
    cat > /dev/null
    return
  fi
  cat > "$file.new"
  chmod 0444 "$file.new"
  mv "$file.new" "$file"
}

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
read_secret() { cat "$secrets/$1"; }

for name in postgres_password refit_owner_role refit_role refit_metrics_role prefect_role mlflow_role mlflow_password \
  mlflow_session_key s3_access_key s3_secret_key grafana_password; do
  random | write "$name"
done

echo "postgresql+psycopg://refit_owner:$(read_secret refit_owner_role)@postgres/refit" | write refit_owner_url
echo "postgresql+psycopg://refit:$(read_secret refit_role)@postgres/refit" | write refit_database_url
echo "postgresql+psycopg://refit_metrics:$(read_secret refit_metrics_role)@postgres/refit" | write refit_metrics_url
echo "postgresql+asyncpg://prefect:$(read_secret prefect_role)@postgres/prefect" | write prefect_database_url
echo "postgresql+psycopg://mlflow:$(read_secret mlflow_role)@postgres/mlflow" | write mlflow_database_uri
echo "admin:$(random)" | write prefect_auth
write mlflow_auth << INI
[mlflow]
default_permission = NO_PERMISSIONS
database_uri = $(read_secret mlflow_database_uri)
admin_username = admin
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
auth_cache_ttl_seconds = 60
INI
write s3_config << JSON
{"identities": [{"name": "refit", "actions": ["Admin", "Read", "Write", "List", "Tagging"],
  "credentials": [{"accessKey": "$(read_secret s3_access_key)", "secretKey": "$(read_secret s3_secret_key)"}]}]}
JSON

if [ ! -e "$secrets/serve_keys" ]; then
  "$refit" serve-key prometheus --may look --keys "$secrets/serve_keys.new" --json \
    | python3 -c 'import json, sys; print(json.load(sys.stdin)["key"])' | write prometheus_key
  chmod 0444 "$secrets/serve_keys.new"
  mv "$secrets/serve_keys.new" "$secrets/serve_keys"
fi
