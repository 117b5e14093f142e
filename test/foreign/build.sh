#!/bin/bash
# Builds the verifiers that others wrote, and our small program around Go's.
#
#   bash test/foreign/build.sh [PROGRAM...]
#
#   sumdb        verifies a public export with golang.org/x/mod/sumdb
#   fsck         Tessera's checker of a whole log
#   litewitness  Torchwood's witness
#
# Without arguments all three.  Each is a Go module beside this script, with
# its versions and their checksums written down.  The programs go into
# $MEDSYNC_FOREIGN_DIR, by default ${XDG_CACHE_HOME:-$HOME/.cache}/medsync-foreign.
# What is there already is neither built nor fetched again: then neither Go nor
# a network is needed, and the directory may be read-only.  Two calls at once
# wait for each other.
#
# Standard output has the programs' paths, a line each; everything else goes
# to standard error.  Exit status:
#
#   0  all are there
#   2  wrong arguments, or no directory that can be written
#   3  Go is missing or too old
#   4  their sources could not be fetched (no network, or a proxy refuses)
#   5  one did not compile
#   6  another call holds the lock for too long, or a step took too long

set -u -o pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PATH=$PATH:/usr/local/go/bin:/usr/lib/go/bin
GO_MINOR=24			# Go 1.24 is the first that knows "tool" in go.mod
LIMIT=600			# seconds for the lock, for fetching and for each build

declare -A PACKAGES=(
	[sumdb]=.
	[fsck]=github.com/transparency-dev/tessera/cmd/fsck
	[litewitness]=filippo.io/torchwood/cmd/litewitness
)

die()
{
	local status=$1

	shift
	printf 'foreign verifiers: %s\n' "$*" >&2
	exit "$status"
}

# What a program is made from; its stamp holds this.
digest()
{
	(shopt -s nullglob && cd "$HERE/$1" && cat -- go.mod go.sum ./*.go | sha256sum)
}

current()
{
	[ -x "$DIR/bin/$1" ] && [ "$(cat "$DIR/bin/$1.stamp" 2>/dev/null)" = "$(digest "$1")" ]
}

all_current()
{
	local program

	for program
	do
		current "$program" || return
	done
}

# within COMMAND...: with the time limit; too long ends the script.
within()
{
	local status

	timeout --kill-after=10 "$LIMIT" "$@"
	status=$?
	[ "$status" != 124 ] || die 6 "stopped after $LIMIT s: $*"
	return "$status"
}

check_go()
{
	local version

	command -v go >/dev/null ||
		die 3 "Go is not installed; these tests need Go 1.$GO_MINOR or later"
	version=$(within go env GOVERSION) || die 3 "go does not run"
	[[ $version =~ ^go1\.([0-9]+) ]] && [ "${BASH_REMATCH[1]}" -ge "$GO_MINOR" ] ||
		die 3 "Go 1.$GO_MINOR or later is needed, this is $version"
}

# Everything Go writes stays in the directory, whatever HOME is.  Modules come
# from go.mod and go.sum as they stand, or not at all.
settle_go()
{
	export GOPATH=$DIR/work/path GOCACHE=$DIR/work/cache GOTMPDIR=$DIR/work/tmp
	export GOFLAGS="-mod=readonly -modcacherw -trimpath -buildvcs=false"
	export GOTOOLCHAIN=local GOWORK=off CGO_ENABLED=0
	unset GOBIN GOMODCACHE GOOS GOARCH GO111MODULE
	mkdir -p "$GOPATH" "$GOCACHE" "$GOTMPDIR" || die 2 "cannot write in $DIR"
}

# Loading the packages fetches the modules.  One more try: networks hiccup.
fetch()
{
	local try

	for try in 1 2
	do
		within go list -deps "$1" >/dev/null && return
	done
	return 1
}

build()
{
	local program=$1 package=${PACKAGES[$1]}

	cd "$HERE/$program" || exit 2
	echo "building $program" >&2
	fetch "$package" || die 4 "the sources of $program could not be fetched"
	within go build -o "$GOTMPDIR/$program" "$package" ||
		die 5 "$program does not compile"

	# Whoever runs the old one goes on; the stamp comes last.
	rm -f "$DIR/bin/$program.stamp"
	mv -f "$GOTMPDIR/$program" "$DIR/bin/$program" &&
		digest "$program" >"$DIR/bin/$program.stamp" ||
		die 2 "cannot write in $DIR/bin"
}

[ $# -gt 0 ] || set -- sumdb fsck litewitness
for program
do
	[ -n "${PACKAGES[$program]:-}" ] || die 2 "no such program: $program"
done

DIR=${MEDSYNC_FOREIGN_DIR:-${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/medsync-foreign}
[[ $DIR == /* ]] || DIR=$PWD/$DIR

if ! all_current "$@"
then
	check_go
	mkdir -p "$DIR/bin" 2>/dev/null && [ -w "$DIR/bin" ] ||
		die 2 "cannot write in $DIR; set MEDSYNC_FOREIGN_DIR"
	exec 9>"$DIR/lock" || die 2 "cannot write in $DIR"
	flock -w "$LIMIT" 9 || die 6 "another build in $DIR does not end"
	settle_go
	for program
	do
		current "$program" || build "$program"
	done

	# Half a gigabyte that is not needed again.
	rm -rf "$DIR/work"
	exec 9>&-
fi

for program
do
	printf '%s\n' "$DIR/bin/$program"
done
