// Command sumdb verifies what medsync publishes with the code behind Go's
// checksum database, golang.org/x/mod/sumdb: package note for signatures,
// package tlog for hashes, tiles and proofs.  Nothing of medsync's own code is
// in it.
//
//	sumdb log DIR KEY             a public export: every byte of every file
//	sumdb proofs DIR KEY          proofs from a server, as JSON lines on
//	                              standard input, against a public export
//	sumdb receipt KEY FILE...     receipts, each by itself
//
// KEY is a file with a verifier key.  The exit status is 0 if everything is
// right, 1 if something is wrong, 2 if it could not be checked.
package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// A usage error, or a file that cannot be read where it should be.
type notChecked struct{ err error }

func (e notChecked) Error() string { return e.err.Error() }

func main() {
	summary, err := run(os.Args[1:])
	if err == nil {
		fmt.Println(summary)
		return
	}
	fmt.Fprintln(os.Stderr, "sumdb:", err)
	if errors.As(err, &notChecked{}) {
		os.Exit(2)
	}
	os.Exit(1)
}

func run(args []string) (string, error) {
	switch {
	case len(args) == 3 && args[0] == "log":
		return checkLog(args[1], args[2])
	case len(args) == 3 && args[0] == "proofs":
		return checkProofs(args[1], args[2], os.Stdin)
	case len(args) >= 3 && args[0] == "receipt":
		return checkReceipts(args[1], args[2:])
	}
	return "", notChecked{errors.New("usage: sumdb log DIR KEY | proofs DIR KEY | receipt KEY FILE...")}
}

func checkLog(dir, keyFile string) (string, error) {
	key, err := readKey(keyFile)
	if err != nil {
		return "", err
	}
	log, err := openLog(dir, key)
	if err != nil {
		return "", err
	}
	if err := log.check(); err != nil {
		return "", err
	}
	return fmt.Sprintf("log is right: %s, size %d, root %v, %d files",
		log.origin, log.tree.N, log.tree.Hash, log.files), nil
}

func readKey(file string) (note.Verifier, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, notChecked{err}
	}
	key, err := note.NewVerifier(strings.TrimSuffix(string(text), "\n"))
	if err != nil {
		return nil, notChecked{fmt.Errorf("%s: %w", file, err)}
	}
	return key, nil
}
