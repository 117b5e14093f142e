package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// proofLine is one proof as the server gave it.
//
//	{"type": "inclusion", "index": 5, "size": 9, "leaf_hash": H, "proof": [H...], "root": H}
//	{"type": "consistency", "old_size": 5, "old_root": H, "new_size": 9, "new_root": H, "proof": [H...]}
//
// with each hash H in base64.  A root may be left out where the server has
// none, at a size that no checkpoint has; it is then the one that the exported
// tiles make.
type proofLine struct {
	Type     string
	Index    *int64
	Size     *int64
	LeafHash tlog.Hash `json:"leaf_hash"`
	Root     *tlog.Hash
	OldSize  *int64     `json:"old_size"`
	OldRoot  *tlog.Hash `json:"old_root"`
	NewSize  *int64     `json:"new_size"`
	NewRoot  *tlog.Hash `json:"new_root"`
	Proof    []tlog.Hash
}

// checkProofs lets tlog check each proof, and compares it with the one that
// tlog makes from the exported tiles.
func checkProofs(dir, keyFile string, input io.Reader) (string, error) {
	key, err := readKey(keyFile)
	if err != nil {
		return "", err
	}
	log, err := openLog(dir, key)
	if err != nil {
		return "", err
	}
	count := map[string]int{}
	lines := json.NewDecoder(input)
	lines.DisallowUnknownFields()
	for n := 1; ; n++ {
		var line proofLine
		err := lines.Decode(&line)
		if err == io.EOF {
			break
		}
		if err != nil {
			return "", notChecked{fmt.Errorf("line %d: %w", n, err)}
		}
		if err := log.checkProof(&line); err != nil {
			return "", fmt.Errorf("line %d: %w", n, err)
		}
		count[line.Type]++
	}
	return fmt.Sprintf("proofs are right: %d inclusion, %d consistency",
		count["inclusion"], count["consistency"]), nil
}

func (log *exported) checkProof(line *proofLine) error {
	switch {
	case line.Type == "inclusion" && line.Index != nil && line.Size != nil:
		return log.checkInclusion(*line.Index, *line.Size, line)
	case line.Type == "consistency" && line.OldSize != nil && line.NewSize != nil:
		return log.checkConsistency(*line.OldSize, *line.NewSize, line)
	}
	return notChecked{errors.New("neither an inclusion nor a consistency proof")}
}

func (log *exported) checkInclusion(index, size int64, line *proofLine) error {
	if index < 0 || index >= size || size > log.tree.N {
		return fmt.Errorf("no entry %d in size %d of a log with %d", index, size, log.tree.N)
	}
	root, err := log.rootAt(size, line.Root)
	if err != nil {
		return err
	}
	if err := tlog.CheckRecord(line.Proof, size, root, index, line.LeafHash); err != nil {
		return fmt.Errorf("inclusion of %d in %d: %w", index, size, err)
	}
	leaf, err := log.leafHash(index)
	if err != nil {
		return err
	}
	if leaf != line.LeafHash {
		return fmt.Errorf("leaf hash of %d is %v, the exported entry has %v", index, line.LeafHash, leaf)
	}
	expected, err := tlog.ProveRecord(size, index, log.reader())
	if err != nil {
		return err
	}
	if !slices.Equal(line.Proof, expected) {
		return fmt.Errorf("inclusion of %d in %d: the tiles make another proof", index, size)
	}
	return nil
}

func (log *exported) checkConsistency(oldSize, newSize int64, line *proofLine) error {
	if oldSize < 1 || oldSize > newSize || newSize > log.tree.N {
		return fmt.Errorf("no sizes %d and %d in a log with %d", oldSize, newSize, log.tree.N)
	}
	oldRoot, err := log.rootAt(oldSize, line.OldRoot)
	if err != nil {
		return err
	}
	newRoot, err := log.rootAt(newSize, line.NewRoot)
	if err != nil {
		return err
	}
	if err := tlog.CheckTree(line.Proof, newSize, newRoot, oldSize, oldRoot); err != nil {
		return fmt.Errorf("consistency of %d with %d: %w", oldSize, newSize, err)
	}
	expected, err := tlog.ProveTree(newSize, oldSize, log.reader())
	if err != nil {
		return err
	}
	if !slices.Equal(line.Proof, expected) {
		return fmt.Errorf("consistency of %d with %d: the tiles make another proof", oldSize, newSize)
	}
	return nil
}

// rootAt is the root that the tiles make at a size, which must be the one that
// the server says, if it says any.
func (log *exported) rootAt(size int64, said *tlog.Hash) (tlog.Hash, error) {
	root, err := tlog.TreeHash(size, log.reader())
	if err != nil {
		return root, err
	}
	if said != nil && *said != root {
		return root, fmt.Errorf("root at size %d is %v, the tiles make %v", size, *said, root)
	}
	return root, nil
}

// leafHash hashes one exported entry.
func (log *exported) leafHash(index int64) (tlog.Hash, error) {
	t := bundles(log.tree.N)[index/width]
	data, err := log.read(t)
	if err != nil {
		return tlog.Hash{}, err
	}
	list, err := splitBundle(data)
	if err != nil || len(list) != t.W {
		return tlog.Hash{}, fmt.Errorf("%s: damaged", tilePath(t))
	}
	return tlog.RecordHash(list[index%width]), nil
}
