#!/usr/bin/env bash
# Measures repod's figures on this machine and prints them as a table.
#
#   aptrepo/bench/run.sh [PATTERN]     only the benchmarks that match PATTERN
#
# Takes 6 minutes or more, disk space for repositories of 200,000 packages
# (some gigabytes below TMPDIR, which should be a real disk), and the Debian
# packages aptly reprepro gnupg nginx-light wrk openssl xz-utils for the
# comparisons; a row whose program is missing is left out. A figure that
# misses its target is a row that says so, never a failure.
#
# REPOD_RIVALS   sizes at which aptly and reprepro are measured (1000,10000,63000)
set -euo pipefail
cd "$(dirname "$0")"
pattern=${1:-.}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export REPOD_FIGURES=$work/rows REPOD_BENCH_DIR=${REPOD_BENCH_DIR:-$work}
: >"$REPOD_FIGURES"
failed=0

# What go test prints goes to standard error: the table is the result.
go test -run '^$' -bench "$pattern" -benchtime 1x -timeout 120m . >&2 || failed=1
(cd peers && go test -run '^$' -bench "$pattern" -benchtime 1s -timeout 20m . >&2) || failed=1

cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)
os=$(. /etc/os-release && echo "$PRETTY_NAME")
echo "Measured on $(date -u +%F) by aptrepo/bench/run.sh: $(nproc) × ${cpu:-$(uname -m)}, $os, Linux $(uname -r), $(go env GOVERSION)."
echo
echo "| | what | measured | target | holds |"
echo "|---|---|---|---|---|"
sort -s -t '|' -k2,2V "$REPOD_FIGURES" | grep '^| T' || true
grep -v '^| T' "$REPOD_FIGURES" || true
exit $failed
