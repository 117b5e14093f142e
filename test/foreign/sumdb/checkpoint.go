package main

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// openCheckpoint checks the signature and reads the text.  tlog.ParseTree
// would do the latter, but takes no origin other than Go's own.
func openCheckpoint(signed []byte, key note.Verifier) (origin string, tree tlog.Tree, err error) {
	opened, err := note.Open(signed, note.VerifierList(key))
	if err != nil {
		return "", tree, fmt.Errorf("checkpoint: %w", err)
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[3] != "" {
		return "", tree, fmt.Errorf("checkpoint: %q are not three lines", opened.Text)
	}
	if lines[0] != key.Name() {
		return "", tree, fmt.Errorf("checkpoint: origin %q is not the key's name %q", lines[0], key.Name())
	}
	if tree.N, err = parseDecimal(lines[1]); err != nil {
		return "", tree, fmt.Errorf("checkpoint: size: %w", err)
	}
	if tree.Hash, err = tlog.ParseHash(lines[2]); err != nil {
		return "", tree, fmt.Errorf("checkpoint: root: %w", err)
	}
	return lines[0], tree, nil
}

// parseDecimal takes what a checkpoint and a proof may hold: no sign, no
// leading zero.
func parseDecimal(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, err
	}
	if n < 0 || text != strconv.FormatInt(n, 10) {
		return 0, fmt.Errorf("%q is no proper number", text)
	}
	return n, nil
}
