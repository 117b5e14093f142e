#!/bin/bash
# A hospital's tables become a ledger, and an insider's edit is found.
#
#   bash test/demo.sh [--patients N | --data DIR] [--psql]
#
#   --patients N   make a hospital of N patients (default 615)
#   --data DIR     load one from the CSV or CSV.gz files in DIR instead; their
#                  names and headers are the tables and columns of
#                  test/hospital/schema.sql
#   --psql         at the end leave a psql open in the demo's database
#
# Enough alone on a fresh Debian 12, as root or with sudo.  The exit status
# is 0 only if the edit, and nothing else, was found.

set -u -o pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

PATIENTS=615
DATA=
LEAVE_PSQL=0

usage()
{
	sed -n '2,/^$/s/^# \{0,1\}//p' "$TOP/test/demo.sh"
	exit "$1"
}

while [ $# -gt 0 ]
do
	case $1 in
		--patients=*|--data=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;;
	esac
	case $1 in
		--patients) PATIENTS=${2:-}; shift ;;
		--data) DATA=${2:-.}; shift ;;
		--psql) LEAVE_PSQL=1 ;;
		-h|--help) usage 0 ;;
		*) usage 2 >&2 ;;
	esac
	shift || usage 2 >&2
done
[[ $PATIENTS =~ ^[1-9][0-9]{0,6}$ ]] ||
	{ complain "--patients wants a number from 1 to 9999999"; exit 2; }

TABLES=(organizations practitioners patients encounters conditions
	medication_requests allergies immunizations procedures claims eobs vitals)
DB=hospital

# One SQL file or command in the demo's database.
sql()
{
	PSQL -d "$DB" "$@"
}

# A query as a user would type it, with its answer.
show()
{
	printf '\n%s    %s=# %s%s\n' "$DIM" "$DB" "${1//$'\n'/$'\n'    }" "$PLAIN"
	sql -P pager=off -P footer=off "${@:2}" -c "$1" 2>&1 | sed '/^$/d' | indent ||
		die "this failed"
}

data_file()
{
	local file

	for file in "$DATA/$1.csv" "$DATA/$1.csv.gz"
	do
		[ ! -f "$file" ] || { say "$file"; return; }
	done
	complain "no $1.csv or $1.csv.gz in $DATA"
	return 1
}

if [ -n "$DATA" ]
then
	DATA=$(cd "$DATA" && pwd) || exit 2
	for table in "${TABLES[@]}"
	do
		data_file "$table" >/dev/null || exit 2
	done
fi

load_csv()
{
	local table file header

	for table in "${TABLES[@]}"
	do
		file=$(data_file "$table") || exit 1
		header=$(zcat -f "$file" 2>/dev/null | head -n 1 | tr -d '\r\357\273\277')
		[[ $header =~ ^[a-z_]+(,[a-z_]+)*$ ]] ||
			die "the first line of $file is not a list of columns"
		zcat -f "$file" |
			sql -c "\\copy hospital.$table ($header) FROM STDIN (FORMAT csv, HEADER)" \
			>"$LOG/load.log" 2>&1 || { cat "$LOG/load.log" >&2; die "could not load $file"; }
	done
}

make_room
say "${BOLD}medsync demo: a hospital's tables become a ledger${PLAIN}"
say

begin "packages"
packages
finish "$NOTE"

begin "build"
choose_user
build
finish

begin "private server"
start_server "max_wal_size = 4GB" "shared_buffers = 256MB" "jit = off" \
	"timezone = 'UTC'"
PSQL -d postgres -c "CREATE DATABASE $DB" || die "no database"
finish "PostgreSQL $("$BIN/postgres" -V | sed 's/.*) \([0-9.]*\).*/\1/'), socket only, in $ROOM"

FILES=$SOURCE/test/hospital

begin "a hospital"
sql -f "$FILES/schema.sql" || die "no schema"
if [ -n "$DATA" ]
then
	load_csv
else
	sql -v patients="$PATIENTS" -f "$FILES/generate.sql" || die "no rows"
fi
sql -f "$FILES/keys.sql" || die "the rows do not fit together"
count=$(for table in "${TABLES[@]}"
do
	printf '%s(SELECT count(*) FROM hospital.%s)' "${plus:-}" "$table"
	plus=' + '
done)
finish "$(sql -At -F ' patients, ' -c "SELECT (SELECT count(*) FROM hospital.patients), $count") rows in ${#TABLES[@]} tables"

begin "track them"
open_step
{
	sql -e -c "CREATE EXTENSION medsync" &&
		sql -t -e -v VERBOSITY=terse -f "$FILES/track.sql"
} 2>"$LOG/track.log" | sed -u -n 's/^\(SELECT\|CREATE\)/    &/p' ||
	{ cat "$LOG/track.log" >&2; die "could not track the tables"; }
finish

begin "a day of changes"
open_step
sql -f "$FILES/day.sql" 2>&1 | indent || die "the day failed"
finish

begin "seal"
open_step
show "SELECT height, size, encode(root, 'hex') AS root FROM medsync.seal();"
finish

KEY="{\"id\": \"$(sql -At -c "SELECT md5('day/allergy')::uuid")\"}"

begin "history of one row"
open_step
show "SELECT entry_index AS entry, to_char(at, 'HH24:MI:SS') AS at, operation,
       role, changed_columns, new_row->>'display' AS display,
       new_row->>'category' AS category, new_row->>'criticality' AS criticality
FROM medsync.history('hospital.allergies', '$KEY');"
finish

begin "verify"
open_step
show "SELECT entries, blocks, tables, rows, unsealed, errors, warnings
FROM medsync.verify_summary();"
bad=$(sql -At -c "SELECT errors + warnings FROM medsync.verify_summary()")
[ "$bad" = 0 ] || { show "SELECT * FROM medsync.verify()" -x; die "the untouched ledger should verify clean"; }
finish "clean"

begin "the insider, first try"
open_step
say
say "    A superuser wants to hide the allergy.  The guard refuses:"
say
try="ALTER TABLE hospital.allergies DISABLE TRIGGER ALL"
say "${DIM}    $DB=# $try;${PLAIN}"
if sql -c "$try" >"$LOG/try.log" 2>&1
then
	die "the guard should have refused this"
fi
indent <"$LOG/try.log"
finish

begin "the insider, second try"
open_step
say
say "    Superusers can switch the guards off, and on again afterwards:"
say
grep -v '^\(/\*\| \*\|\\set\|$\)' "$FILES/insider.sql" | indent
sql -f "$FILES/insider.sql" >"$LOG/insider.log" 2>&1 ||
	{ cat "$LOG/insider.log" >&2; die "the insider failed"; }
say
say "    The ward now reads:"
show "SELECT display, criticality, clinical_status FROM hospital.allergies
WHERE id = '$(sql -At -c "SELECT md5('day/allergy')::uuid")';"
finish

begin "verify finds it"
open_step
show "SELECT * FROM medsync.verify();" -x
show "SELECT new_row->>'display' AS display, new_row->>'criticality' AS criticality,
       new_row->>'clinical_status' AS clinical_status, role, at
FROM medsync.history('hospital.allergies', '$KEY')
ORDER BY entry_index DESC LIMIT 1;"
verdict=$(sql -At <<SQL
SELECT count(*) = 1
	   AND bool_and(verdict = 'altered' AND relation = 'hospital.allergies'
					AND row_key = '$KEY')
FROM medsync.verify() WHERE severity <> 'notice'
SQL
)
[ "$verdict" = t ] || die "verify should have found exactly the changed row"
finish "1 finding, the right one"

where_time_went
say
say "${GREEN}The edit was found: table, row, and what the row should be.${PLAIN}"

if [ "$LEAVE_PSQL" = 1 ]
then
	say
	say "psql in the demo's database; the server goes when you quit (\\q)."
	say "Try:  SELECT * FROM medsync.verify();   \\dt hospital.*   \\df medsync.*"
	"${AS_USER[@]}" PAGER="${PAGER:-more}" "$BIN/psql" -X -d "$DB"
fi
exit 0
