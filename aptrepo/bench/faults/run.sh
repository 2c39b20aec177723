#!/usr/bin/env bash
# Lets repod fail in every way that can be arranged here and checks what is left:
# prints a table of what was done and found.
#
#   aptrepo/bench/faults/run.sh             all drills in their long form (more than an hour)
#   aptrepo/bench/faults/run.sh R3          one of them
#   aptrepo/bench/faults/run.sh short       all in the short form that make test runs
#   aptrepo/bench/faults/run.sh soak [1h]   mixed load for so long; looks for what grows
#
# The drills are the tests TestDrill... of cmd/repod/e2e, beside the other tests
# that drive the program, whose tools they share. They need root, and what
# .ci/deps and .ci/s3store install. A row that says **no** fails the run when it
# is about a promise (nothing lost, nothing half, no failed read), not when it is
# about time: this may be a slow machine.
set -euo pipefail
cd "$(dirname "$0")/../../.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export REPOD_E2E=1 REPOD_DRILLS=long REPOD_FIGURES=$work/rows
: >"$REPOD_FIGURES"
pattern=TestDrill
case ${1:-} in
soak) pattern=TestDrillR14 REPOD_SOAK=${2:-1h}; export REPOD_SOAK ;;
short) REPOD_DRILLS= ;;
R*) pattern="TestDrill$1[A-Z]" ;;
'') ;;
*) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac

failed=0
go test -count=1 -run "$pattern" -timeout 6h -v ./cmd/repod/e2e >&2 || failed=1

cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)
os=$(. /etc/os-release && echo "$PRETTY_NAME")
echo "Run on $(date -u +%F) by aptrepo/bench/faults/run.sh $*: $(nproc) × ${cpu:-$(uname -m)}, $os, Linux $(uname -r), load $(cut -d' ' -f1-3 /proc/loadavg) at the end."
echo
echo "| | drill | found | must hold | holds |"
echo "|---|---|---|---|---|"
sort -s -t '|' -k2,2V "$REPOD_FIGURES"
exit $failed
