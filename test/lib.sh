# Shared by demo.sh and run.sh: packages, a private build, a private server,
# steps with their times, and cleaning up.
#
# Everything happens in one temporary directory.  PostgreSQL finds its files
# relative to its programs, so a copy of the programs with links to the rest
# is an installation of its own: "make install" goes there, and an installed
# medsync or a running server is never touched.  Only packages are installed
# into the system, and only those that are missing.
#
# Settings from outside:
#   PG_CONFIG   another PostgreSQL than Debian's 15; its packages are then the
#               caller's business
#   TMPDIR      where the temporary directory is made

MAJOR=15
GIVEN_PG_CONFIG=${PG_CONFIG:-}

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
ROOM=			# the temporary directory
STEP=0			# number of the current step
STEP_PID=		# what the current step runs
STEP_OPEN=0		# 1 while its line on the screen waits for its end
STEP_NAMES=()
STEP_TIMES=()
AS_USER=()		# prefix that runs a command as the unprivileged user
SERVER=			# data directory of the private server, when it runs
KEEP_LOG=0

umask 022
for variable in "${!PG@}"
do
	[[ $variable == PG_TEST_* ]] || unset "$variable"
done
unset PERL5OPT PERL5LIB MAKEFLAGS MAKEOVERRIDES MFLAGS CDPATH LANGUAGE
export LC_ALL=C.UTF-8

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]
then
	BOLD=$'\e[1m' DIM=$'\e[2m' RED=$'\e[31m' GREEN=$'\e[32m' PLAIN=$'\e[0m'
else
	BOLD= DIM= RED= GREEN= PLAIN=
fi

# Seconds since the epoch, in milliseconds.
now()
{
	local t=${EPOCHREALTIME/,/.}

	echo $(( ${t%.*} * 1000 + 10#${t#*.} / 1000 ))
}

seconds()
{
	printf '%d.%d' $(( $1 / 1000 )) $(( $1 % 1000 / 100 ))
}

say()
{
	printf '%s\n' "$*"
}

indent()
{
	sed 's/^/    /'
}

complain()
{
	printf '%s%s: %s%s\n' "$RED" "${0##*/}" "$*" "$PLAIN" >&2
}

die()
{
	if [ "$STEP_OPEN" = 1 ]
	then
		say
		STEP_OPEN=0
	fi
	complain "$*"
	exit 1
}

# begin TITLE ... finish [NOTE]: one step, one line.  A step that prints more
# in between calls open_step first.
begin()
{
	STEP=$(( STEP + 1 ))
	STEP_NAMES+=("$1")
	STEP_BEGAN=$(now)
	STEP_OPEN=1
	printf '%s%2d  %-28s%s' "$BOLD" "$STEP" "$1" "$PLAIN"
}

finish()
{
	local took=$(( $(now) - STEP_BEGAN ))

	STEP_TIMES+=("$took")
	if [ "$STEP_OPEN" = 1 ]
	then
		printf '%7s s%s\n' "$(seconds "$took")" "${1:+  $1}"
	else
		printf '%s    %s%s s%s\n' "$DIM" "${1:+$1, }" "$(seconds "$took")" "$PLAIN"
	fi
	STEP_OPEN=0
}

open_step()
{
	[ "$STEP_OPEN" = 0 ] || say
	STEP_OPEN=0
}

where_time_went()
{
	local i total=0

	say
	say "${BOLD}Where the time went${PLAIN}"
	for i in "${!STEP_TIMES[@]}"
	do
		printf '    %-28s%7s s\n' "${STEP_NAMES[i]}" "$(seconds "${STEP_TIMES[i]}")"
		total=$(( total + STEP_TIMES[i] ))
	done
	printf '    %-28s%7s s\n' total "$(seconds "$total")"
}

# Runs a command with a time limit and waits for it in such a way that
# Ctrl-C ends it at once.  timeout makes it a process group of its own.
limited()
{
	local limit=$1 status

	shift
	timeout --kill-after=20 "$limit" "$@" &
	STEP_PID=$!
	wait "$STEP_PID"
	status=$?
	STEP_PID=
	return "$status"
}

# logged NAME LIMIT COMMAND...: output to $LOG/NAME.log.
logged()
{
	local name=$1

	shift
	limited "$@" >"$LOG/$name.log" 2>&1
}

# The same, but the script ends when the command fails.
must()
{
	local name=$1 status

	logged "$@" && return
	status=$?
	KEEP_LOG=1
	[ "$STEP_OPEN" = 0 ] || say
	STEP_OPEN=0
	tail -n 40 "$LOG/$name.log" >&2
	[ "$status" = 124 ] && die "$name took longer than $2 s; see $LOG/$name.log"
	die "$name failed; see $LOG/$name.log"
}

stop_server()
{
	[ -n "$SERVER" ] || return
	"${AS_USER[@]}" "$BIN/pg_ctl" -D "$SERVER" -m immediate -w -t 30 stop >/dev/null 2>&1
	SERVER=
}

clean_up()
{
	local status=$? file pid i

	trap - EXIT
	trap '' INT TERM HUP
	if [ -n "$STEP_PID" ]
	then
		kill -TERM "$STEP_PID" 2>/dev/null
		for i in 1 2 3 4 5 6 7 8 9 10
		do
			kill -0 -- "-$STEP_PID" 2>/dev/null || break
			sleep 0.3
		done
		kill -KILL -- "-$STEP_PID" 2>/dev/null
		wait "$STEP_PID" 2>/dev/null
	fi
	if [ -n "$ROOM" ]
	then
		stop_server

		# Servers that a test made and left behind.
		find "$ROOM" -name postmaster.pid 2>/dev/null |
		while read -r file
		do
			pid=$(head -n 1 "$file" 2>/dev/null)
			case $(readlink "/proc/${pid#-}/cwd" 2>/dev/null) in
				"$ROOM"/*) kill -QUIT "${pid#-}" 2>/dev/null; sleep 0.5 ;;
			esac
		done
		rm -rf "$ROOM" 2>/dev/null || { sleep 1; rm -rf "$ROOM"; }
	fi
	no_main_cluster off
	[ "$KEEP_LOG" = 1 ] || rm -rf "${LOG_MADE:-}"
	exit "$status"
}

# Makes the temporary directory and the log directory.
make_room()
{
	local parent=${TMPDIR:-/tmp}

	# A socket's path may have 107 characters.
	[ "${#parent}" -le 50 ] || parent=/tmp

	trap clean_up EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
	ROOM=$(mktemp -d "$parent/medsync.XXXXXX") || exit 1
	if [ -z "${LOG:-}" ]
	then
		LOG=$(mktemp -d "$parent/medsync-log.XXXXXX") || exit 1
		LOG_MADE=$LOG
	else
		mkdir -p "$LOG" && LOG=$(cd "$LOG" && pwd) || exit 1
	fi
}

installed()
{
	[ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# A new server package makes and starts a cluster named main, unless it is
# told not to, here while we install it.
NO_MAIN_CLUSTER=/etc/postgresql-common/createcluster.d/medsync-test.conf
NO_MAIN_CLUSTER_MADE=0
no_main_cluster()
{
	if [ "$1" = on ]
	then
		"${ROOT[@]}" mkdir -p "${NO_MAIN_CLUSTER%/*}"
		NO_MAIN_CLUSTER_MADE=1
		echo 'create_main_cluster = false' |
			"${ROOT[@]}" tee "$NO_MAIN_CLUSTER" >/dev/null
	elif [ "$NO_MAIN_CLUSTER_MADE" = 1 ]
	then
		"${ROOT[@]}" rm -f "$NO_MAIN_CLUSTER"
		"${ROOT[@]}" rmdir "${NO_MAIN_CLUSTER%/*}" 2>/dev/null
		NO_MAIN_CLUSTER_MADE=0
	fi
}

# packages NAME...: installs what is missing, besides what every build needs.
# Sets NOTE.
packages()
{
	local name missing=()

	set -- gcc make libc6-dev libssl-dev libcurl4-openssl-dev \
		libsodium-dev "$@"
	[ -n "$GIVEN_PG_CONFIG" ] ||
		set -- "postgresql-$MAJOR" "postgresql-server-dev-$MAJOR" "$@"

	NOTE="nothing to install"
	if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null
	then
		NOTE="not a Debian system: taking what is there"
		return
	fi
	for name
	do
		installed "$name" || missing+=("$name")
	done
	[ "${#missing[@]}" -gt 0 ] || return

	ROOT=()
	if [ "$(id -u)" != 0 ]
	then
		ROOT=(sudo -n)
		if ! sudo -n true 2>/dev/null
		then
			open_step
			[ -t 0 ] && command -v sudo >/dev/null && sudo -v ||
				die "please install, as root: apt-get install ${missing[*]}"
		fi
	fi
	installed "postgresql-$MAJOR" || no_main_cluster on
	must apt-get-update 600 "${ROOT[@]}" apt-get update -o Acquire::Retries=3
	logged apt-get-install 1800 "${ROOT[@]}" env \
		DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l \
		apt-get install -y --no-install-recommends \
		-o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 "${missing[@]}"
	no_main_cluster off
	for name in "${missing[@]}"
	do
		installed "$name" && continue
		KEEP_LOG=1
		tail -n 20 "$LOG/apt-get-install.log" >&2
		die "package $name could not be installed; see $LOG/apt-get-install.log"
	done
	NOTE="installed ${#missing[@]}: ${missing[*]}"
}

# Who runs the build and the server.  PostgreSQL refuses to run as root.
choose_user()
{
	local user

	mkdir "$ROOM/tmp"
	AS_USER=(env HOME="$ROOM" TMPDIR="$ROOM/tmp")
	if [ "$(id -u)" = 0 ]
	then
		for user in postgres nobody
		do
			id "$user" >/dev/null 2>&1 && break
		done
		chown "$user" "$ROOM" "$ROOM/tmp" || exit 1
		AS_USER=(setpriv --reuid "$user" --regid "$(id -g "$user")" --init-groups
			"${AS_USER[@]}" USER="$user" LOGNAME="$user")
	fi
	cd "$ROOM" || exit 1
}

# Links every entry of a directory into another, except ours and $3.
link_entries()
{
	local entry

	mkdir -p "$2"
	for entry in "$1"/*
	do
		case ${entry##*/} in
			medsync*|"${3:-}") ;;
			*) ln -s "$entry" "$2/" ;;
		esac
	done
}

make_installation()
{
	local real=$1 new=$2 bin lib share dir

	bin=$("$real" --bindir) lib=$("$real" --pkglibdir) share=$("$real" --sharedir)
	mkdir -p "$new$bin"
	cp -a "$bin/." "$new$bin/"
	link_entries "$lib" "$new$lib"
	link_entries "$share" "$new$share" extension
	link_entries "$share/extension" "$new$share/extension"
	dir=$new$("$real" --mandir)
	[ ! -L "$dir" ] || rm "$dir"		# we install a page of our own
	for dir in includedir pkgincludedir includedir-server libdir
	do
		dir=$("$real" --$dir)
		[ -e "$new$dir" ] || { mkdir -p "$new${dir%/*}" && ln -s "$dir" "$new$dir"; }
	done
	[ "$("$new$bin/pg_config" --sharedir)" = "$new$share" ]
}

# Builds a private copy and installs it into a private installation.  Sets
# SOURCE, BIN and PG_CONFIG.
build()
{
	local real=${GIVEN_PG_CONFIG:-/usr/lib/postgresql/$MAJOR/bin/pg_config} tool
	local bin

	for tool in "$real" make "${CC:-cc}"
	do
		command -v "$tool" >/dev/null ||
			die "$tool not found; needed are make, a C compiler, OpenSSL's and PostgreSQL's server headers"
	done
	bin=$("$real" --bindir)
	[ -x "$bin/postgres" ] || die "no PostgreSQL server in $bin"

	SOURCE=$ROOM/source
	"${AS_USER[@]}" mkdir "$SOURCE" || exit 1
	tar -C "$TOP" --mode=u+rwX -cf - --exclude=./.git --exclude='*.o' --exclude='*.so' \
		--exclude='*.bc' --exclude='./medsync--*.sql' --exclude=./results \
		--exclude=./tmp_check --exclude=./output_iso --exclude=./log . |
		"${AS_USER[@]}" tar -C "$SOURCE" -xf - --no-same-owner ||
		die "could not copy the source"

	"${AS_USER[@]}" bash -c "$(declare -f link_entries make_installation)"'
		make_installation "$@"' - "$real" "$ROOM/inst" ||
		die "could not make an installation under $ROOM; set TMPDIR to a directory where programs may run"
	BIN=$ROOM/inst$bin
	PG_CONFIG=$BIN/pg_config
	MAKE=(make -s -C "$SOURCE" --no-print-directory PG_CONFIG="$PG_CONFIG" with_llvm=no)
	must build 300 "${AS_USER[@]}" "${MAKE[@]}" -j "$(nproc)"
	must install 60 "${AS_USER[@]}" "${MAKE[@]}" install
}

# start_server [SETTING...]: a cluster that listens on a socket in $ROOM only.
start_server()
{
	local setting

	PGHOST=$ROOM/socket PGPORT=5432 PGUSER=postgres
	export PGHOST PGPORT PGUSER
	"${AS_USER[@]}" mkdir -m 700 "$PGHOST" || exit 1
	must initdb 60 "${AS_USER[@]}" "$BIN/initdb" -D "$ROOM/data" -U postgres \
		-A trust -E UTF8 --locale=C.UTF-8 --no-sync --no-instructions
	for setting in "listen_addresses = ''" \
		"unix_socket_directories = '$PGHOST'" "port = $PGPORT" "$@"
	do
		say "$setting"
	done | "${AS_USER[@]}" tee -a "$ROOM/data/postgresql.conf" >/dev/null
	SERVER=$ROOM/data
	logged pg_ctl 90 "${AS_USER[@]}" "$BIN/pg_ctl" -D "$SERVER" \
		-l "$ROOM/server.log" -w -t 60 start && return
	cp "$ROOM/server.log" "$LOG/server.log" 2>/dev/null
	KEEP_LOG=1
	tail -n 20 "$LOG/server.log" >&2
	die "the private server did not start; see $LOG/server.log"
}

PSQL()
{
	"${AS_USER[@]}" "$BIN/psql" -X -q -v ON_ERROR_STOP=1 "$@"
}
