#!/usr/bin/env bash
# usage: tests.sh PYTHON PYTEST-ARGUMENT…           run tests; those that fail run once more
#        tests.sh --again CACHE PYTHON ARGUMENT…    only the second part, of the run that left CACHE
# What fails must pass the second time. A test that passes only then hides a race, in the test or in the product:
# its name goes into the file UNSTEADY, and .ci/run says it at its end.
set -euo pipefail
if [ "$1" = --again ]; then
  cache=$2
  python=$3
  shift 3
else
  python=$1
  shift
  cache=$(mktemp -d)
  trap 'rm -rf "$cache"' EXIT
  "$python" -m pytest -o cache_dir="$cache" "$@" && exit
fi
# Without this file nothing was run at all, and this line ends the script with an error.
names=$("$python" -c 'import json, sys; print(*json.load(open(sys.argv[1])), sep="\n")' "$cache/v/cache/lastfailed")
printf '\n== once more: what failed\n'
"$python" -m pytest -o cache_dir="$cache" --last-failed --last-failed-no-failures none "$@"
echo "$names" >>"${UNSTEADY:-/dev/null}"
