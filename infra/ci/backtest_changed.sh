#!/usr/bin/env bash
# Backtests the projects whose files a change touches, and writes one comment for all of them.
#
#   infra/ci/backtest_changed.sh BASE OUT     BASE is what the change is compared with, such as origin/main
#
# A project's file must be named like the project. If a backtest fails, the comment says so, and the exit code is 1.
set -euo pipefail

base=$1 out=$2
projects=${REFIT_PROJECTS:-projects}
answers=$(mktemp -d)
trap 'rm -rf "$answers"' EXIT

failed=0 files=()
while IFS= read -r file; do
  name=$(basename "$file" .py)
  files+=("$answers/$name.json")
  .venv/bin/refit backtest "$name" --json > "$answers/$name.json" || failed=1
done < <(git diff --name-only --diff-filter=d "$base...HEAD" -- "$projects" | grep -E '/[^_./][^/]*\.py$' || true)

.venv/bin/python -m refit_infra.ci.backtest_table ${files[@]+"${files[@]}"} > "$out"
exit "$failed"
