#!/bin/bash
# Every test: pg_regress, isolation, TAP, pgTAP, the fuzz targets' corpus, a
# smoke run of the benchmark.
#
#   bash test/run.sh [--heavy] [--log DIR]
#
#   --heavy     the long ones too (MEDSYNC_HEAVY=1 for the tests)
#   --log DIR   keep the output there; otherwise it is kept only on failure
#
# Enough alone on a fresh Debian 12, as root or with sudo.  The last line is
# "N passed, N failed"; the exit status is 0 only if nothing failed.  A
# regression or isolation test counts as one, a TAP or pgTAP test as many as
# it has assertions.  PROFILE and COPT go to the compiler as PGXS does it.

set -u -o pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

HEAVY=0
LOG=

usage()
{
	sed -n '2,/^$/s/^# \{0,1\}//p' "$TOP/test/run.sh"
	exit "$1"
}

while [ $# -gt 0 ]
do
	case $1 in
		--log=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;;
	esac
	case $1 in
		--heavy) HEAVY=1 ;;
		--log) LOG=${2:-}; shift ;;
		-h|--help) usage 0 ;;
		*) usage 2 >&2 ;;
	esac
	shift || usage 2 >&2
done

# Test vectors of others, which stand beside the tree or are named by the caller.
if [ -z "${MEDSYNC_TEST_DATA:-}" ] && [ -d "$TOP/../shared/data" ]
then
	export MEDSYNC_TEST_DATA=$TOP/../shared/data
fi

unset MEDSYNC_HEAVY
SCALE=1
if [ "$HEAVY" = 1 ]
then
	export MEDSYNC_HEAVY=1
	SCALE=10
fi

PASSED=0
FAILED=0

# count PASSED FAILED: closes a step.
count()
{
	PASSED=$(( PASSED + $1 ))
	FAILED=$(( FAILED + $2 ))
	if [ "$2" -gt 0 ]
	then
		finish "$1 passed, ${RED}$2 failed${PLAIN}"
	else
		finish "$1 passed"
	fi
}

# excerpt FILE [LINES]: the beginning of a file that tells what failed.
excerpt()
{
	local lines=${2:-150}

	[ -s "$1" ] || return
	say
	say "${BOLD}$1${PLAIN}"
	head -n "$lines" "$1"
	if [ "$(wc -l <"$1")" -gt "$lines" ]
	then
		say "... (cut)"
	fi
	say
}

# Which of its tests a pg_regress run has passed.  $1 is its name, $2 the time
# limit, $3 how many tests there are, $4 the variable that must be empty for
# the other kind to be left out, $5 where differences are written.
regress()
{
	local name=$1 limit=$2 expected=$3 other=$4 diffs=$5 status good bad

	begin "$name"
	if [ "$expected" = 0 ]
	then
		finish "none"
		return
	fi
	logged "$name" "$limit" "${AS_USER[@]}" "${MAKE[@]}" installcheck \
		"$other=" TAP_TESTS=
	status=$?
	cp "$diffs" "$LOG/$name.diffs" 2>/dev/null
	good=$(grep -cE '\.\.\. +ok +|^ok +[0-9]+' "$LOG/$name.log")
	bad=$(grep -cE '\.\.\. +(FAILED|failed)|^not ok +[0-9]+' "$LOG/$name.log")

	# Those that were not reached, and a failure outside any test.
	[ $(( good + bad )) -ge "$expected" ] || bad=$(( expected - good ))
	[ "$status" = 0 ] || [ "$bad" -gt 0 ] || bad=1
	count "$good" "$bad"
	if [ "$bad" -gt 0 ]
	then
		[ "$status" != 124 ] || say "    stopped after $limit s"
		excerpt "$LOG/$name.diffs" || excerpt "$LOG/$name.log"
	fi
}

# What a failed test said (up to a limit), and the end of the log.
failures()
{
	say
	say "${BOLD}$1${PLAIN}"
	grep -E '^ *(#|not ok|FAILED)|ERROR: |FATAL: |PANIC: ' "$1" |
		head -n 120
	say "..."
	if grep -q '^Test Summary Report' "$1"
	then
		sed -n '/^Test Summary Report/,$p' "$1"
	else
		tail -n 25 "$1"
	fi
	say
}

# The same for prove: its summary tells.
prove()
{
	local name=$1 limit=$2 status good bad tests

	shift 2
	logged "$name" "$limit" "$@"
	status=$?

	# Files=3, Tests=57, ...  and for each file that failed
	# t/x.pl  (Wstat: 256 (exited 1) Tests: 5 Failed: 1)
	tests=$(sed -n 's/^Files=[0-9]*, Tests=\([0-9]*\),.*/\1/p' "$LOG/$name.log" | tail -n 1)
	bad=$(sed -n 's/^.*(Wstat: .* Tests: \([0-9]*\) Failed: \([0-9]*\))$/\2/p' "$LOG/$name.log" |
		awk '{ bad += $1 > 0 ? $1 : 1; failed += $1 } END { print bad + 0, failed + 0 }')
	good=$(( ${tests:-0} - ${bad#* } ))
	bad=${bad% *}
	[ -n "$tests" ] || bad=1
	[ "$status" = 0 ] || [ "$bad" -gt 0 ] || bad=1
	count "$good" "$bad"
	if [ "$bad" -gt 0 ]
	then
		[ "$status" != 124 ] || say "    stopped after $limit s"
		failures "$LOG/$name.log"
	fi
}

# A run over the fuzz targets: one line "ok FILE" for each that did no harm,
# "FAILED TARGET" for each target that stopped.
fuzz()
{
	local name=$1 limit=$2 status good bad

	logged "$name" "$limit" "${AS_USER[@]}" "${MAKE[@]}" "$name"
	status=$?
	good=$(grep -c '^ok ' "$LOG/$name.log")
	bad=$(grep -c '^FAILED ' "$LOG/$name.log")
	[ "$status" = 0 ] && [ "$good" -gt 0 ] || [ "$bad" -gt 0 ] || bad=1
	count "$good" "$bad"
	if [ "$bad" -gt 0 ]
	then
		[ "$status" != 124 ] || say "    stopped after $limit s"
		failures "$LOG/$name.log"
	fi
}

# how_many FILE...: those that exist.
how_many()
{
	local file n=0

	for file
	do
		[ ! -f "$file" ] || n=$(( n + 1 ))
	done
	echo "$n"
}

make_room
say "${BOLD}medsync tests${PLAIN}"
say

begin "packages"
packages perl python3 python3-cryptography python3-nacl python3-psycopg2 nodejs openssl \
	openssh-client libipc-run-perl pgbouncer libfaketime \
	"postgresql-$MAJOR-pgtap" libtap-parser-sourcehandler-pgtap-perl \
	"postgresql-$MAJOR-pgaudit" "postgresql-$MAJOR-tablelog" \
	$([ "$HEAVY" = 0 ] || echo clang libclang-rt-dev)
finish "$NOTE"

begin "build"
choose_user
build
finish

begin "private server"
start_server "fsync = off" "wal_level = logical" "max_connections = 100" \
	"max_prepared_transactions = 20" "max_wal_senders = 10" \
	"max_replication_slots = 10" "max_wal_size = 4GB" "shared_buffers = 256MB" \
	"log_line_prefix = '%m [%p] %q%a '" "timezone = 'UTC'"
finish "PostgreSQL $("$BIN/postgres" -V | sed 's/.*) \([0-9.]*\).*/\1/'), socket only"

# What the tests need to find.
AS_USER+=(PATH="$BIN:$PATH" TESTDIR="$SOURCE")

regress regression $(( 300 * SCALE )) "$(how_many "$SOURCE"/sql/*.sql)" \
	ISOLATION "$SOURCE/regression.diffs"
regress isolation $(( 300 * SCALE )) \
	"$(how_many "$SOURCE"/test/isolation/specs/*.spec)" \
	REGRESS "$SOURCE/output_iso/regression.diffs"

begin "pgTAP"
if [ "$(how_many "$SOURCE"/test/pgtap/*.sql)" = 0 ]
then
	finish "none"
else
	PSQL -d postgres -c "CREATE DATABASE medsync_pgtap" \
		-c "\\connect medsync_pgtap" -c "CREATE EXTENSION pgtap" \
		-c "CREATE EXTENSION medsync" >"$LOG/pgtap-database.log" 2>&1 ||
		cat "$LOG/pgtap-database.log"
	prove pgtap $(( 200 * SCALE )) "${AS_USER[@]}" pg_prove --timer \
		--psql-bin "$BIN/psql" -d medsync_pgtap "$SOURCE"/test/pgtap/*.sql
fi

# Built once and kept, in the cache of whoever runs the tests.  TAP tests that
# need one skip where there is no Go.
foreign_verifiers()
{
	local home=${HOME:-/nonexistent} status

	if [ -z "${MEDSYNC_FOREIGN_DIR:-}" ]
	then
		[ "$(id -u)" != 0 ] || home=$(getent passwd "$("${AS_USER[@]}" id -u)" | cut -d: -f6)
		MEDSYNC_FOREIGN_DIR=$home/.cache/medsync-foreign
		"${AS_USER[@]}" mkdir -p "$MEDSYNC_FOREIGN_DIR/bin" 2>/dev/null ||
			MEDSYNC_FOREIGN_DIR=$ROOM/foreign
	fi
	export MEDSYNC_FOREIGN_DIR
	logged foreign 600 "${AS_USER[@]}" bash "$SOURCE/test/foreign/build.sh"
	status=$?
	case $status in
		0) finish "in $MEDSYNC_FOREIGN_DIR" ;;
		3|4) finish "their tests skip: $(sed -n '$s/^foreign verifiers: //p' "$LOG/foreign.log")" ;;
		*) count 0 1; failures "$LOG/foreign.log" ;;
	esac
}

begin "foreign verifiers"
foreign_verifiers

begin "TAP"
if [ "$(how_many "$SOURCE"/test/tap/*.pl)" = 0 ]
then
	finish "none"
else
	prove tap $(( 900 * SCALE )) "${AS_USER[@]}" \
		env -u PGHOST -u PGPORT -u PGUSER \
		"${MAKE[@]}" check-tap PROVE_FLAGS="--timer -j2"
	broken=$(sed -n 's|^test/tap/\([^ ]*\)\.pl .*(Wstat: .*|\1|p' "$LOG/tap.log")
	if [ -n "$broken" ] && [ -d "$SOURCE/tmp_check/log" ]
	then
		cp -r "$SOURCE/tmp_check/log" "$LOG/tap-servers"
		for file in $broken
		do
			# It says why a test ended before its end.
			grep -q 'done_testing() was not seen\|exited with' \
				"$LOG/tap-servers/regress_log_$file" || continue
			say "${BOLD}$LOG/tap-servers/regress_log_$file (its end)${PLAIN}"
			grep -vE '^(### |# Running|waiting for|server |# No postmaster)' \
				"$LOG/tap-servers/regress_log_$file" | tail -n 12 | cut -c1-400
			say
		done
	fi
fi

begin "fuzz corpus, ASan"
fuzz fuzz-replay 600

if [ "$HEAVY" = 1 ]
then
	begin "fuzzing"
	fuzz fuzz 7200
fi

begin "benchmark, smoke run"
if [ ! -f "$SOURCE/test/bench/run" ]
then
	finish "none"
elif logged bench $(( 200 * SCALE )) "${AS_USER[@]}" "${MAKE[@]}" bench-quick
then
	count 1 0
else
	count 0 1
	failures "$LOG/bench.log"
fi

if [ "$FAILED" -gt 0 ]
then
	cp "$ROOM/server.log" "$LOG/server.log" 2>/dev/null
	KEEP_LOG=1
fi

where_time_went
if [ -f "$LOG/tap.log" ]
then
	say
	say "${BOLD}Slowest TAP files${PLAIN}"
	sed -n 's/^\[[0-9:]*\] \([^ ]*\) \.\.* .* \([0-9]*\) ms.*$/\2 \1/p' "$LOG/tap.log" |
		sort -rn | head -n 5 |
		while read -r time file
		do
			printf '    %-28s%7s s\n' "${file##*/}" "$(seconds "$time")"
		done
fi
say
if [ "$FAILED" -gt 0 ]
then
	say "The output is in $LOG"
	say
fi
say "$PASSED passed, $FAILED failed"
[ "$FAILED" = 0 ]
