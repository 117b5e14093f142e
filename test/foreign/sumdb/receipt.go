package main

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"

	"crypto/sha256"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A C2SP tlog-proof, with what medsync puts into its extra line.
type receipt struct {
	extra []byte
	index int64
	proof tlog.RecordProof
	note  []byte
}

func checkReceipts(keyFile string, files []string) (string, error) {
	key, err := readKey(keyFile)
	if err != nil {
		return "", err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", notChecked{err}
		}
		if err := checkReceipt(string(text), key); err != nil {
			return "", fmt.Errorf("%s: %w", file, err)
		}
	}
	return fmt.Sprintf("receipts are right: %d", len(files)), nil
}

// checkReceipt shows that the log has the entry that the receipt opens, and
// the manifest's entry if there is one.  What they mean is not its business.
func checkReceipt(text string, key note.Verifier) error {
	r, err := parseReceipt(text)
	if err != nil {
		return err
	}
	_, tree, err := openCheckpoint(r.note, key)
	if err != nil {
		return err
	}
	opened, err := parseOpening(r.extra)
	if err != nil {
		return fmt.Errorf("extra line: %w", err)
	}
	opened[0].index, opened[0].proof = r.index, r.proof
	for _, e := range opened {
		if err := tlog.CheckRecord(e.proof, tree.N, tree.Hash, e.index, tlog.RecordHash(e.leaf())); err != nil {
			return fmt.Errorf("entry %d in size %d: %w", e.index, tree.N, err)
		}
	}
	return nil
}

// parseReceipt reads the lines of a tlog-proof.
func parseReceipt(text string) (*receipt, error) {
	head, signed, ok := strings.Cut(text, "\n\n")
	if !ok {
		return nil, errors.New("no empty line before the checkpoint")
	}
	r := &receipt{note: []byte(signed)}
	lines := strings.Split(head, "\n")
	if lines[0] != "c2sp.org/tlog-proof@v1" {
		return nil, errors.New("not a tlog-proof")
	}
	lines = lines[1:]

	if len(lines) > 0 && strings.HasPrefix(lines[0], "extra ") {
		var err error
		if r.extra, err = strictBase64(lines[0][len("extra "):]); err != nil {
			return nil, fmt.Errorf("extra line: %w", err)
		}
		lines = lines[1:]
	}
	if len(lines) == 0 || !strings.HasPrefix(lines[0], "index ") {
		return nil, errors.New("no index line")
	}
	var err error
	if r.index, err = parseDecimal(lines[0][len("index "):]); err != nil {
		return nil, fmt.Errorf("index line: %w", err)
	}
	for _, line := range lines[1:] {
		hash, err := strictBase64(line)
		if err != nil || len(hash) != tlog.HashSize {
			return nil, fmt.Errorf("%q is no hash", line)
		}
		r.proof = append(r.proof, tlog.Hash(hash))
	}
	return r, nil
}

func strictBase64(text string) ([]byte, error) {
	if strings.ContainsAny(text, "\r\n") {
		return nil, errors.New("line break within base64")
	}
	return base64.StdEncoding.Strict().DecodeString(text)
}

// openedEntry is an entry with its salt, and where it is in the log.
type openedEntry struct {
	entry, salt []byte
	index       int64
	proof       tlog.RecordProof
}

// leaf is what medsync's docs/formats.md says: 0x01 || SHA-256(salt || entry).
func (e *openedEntry) leaf() []byte {
	digest := sha256.Sum256(append(append([]byte{}, e.salt...), e.entry...))
	return append([]byte{1}, digest[:]...)
}

const (
	saltSize  = 32
	blindSize = 32

	flagRow      = 1
	flagManifest = 2
)

// parseOpening reads the extra line: the entry, then perhaps the row, then
// perhaps the manifest with the entry that holds its digest.  See
// docs/formats.md, Receipt.
func parseOpening(data []byte) ([]openedEntry, error) {
	in := &input{data: data}
	if version := in.byte(); in.err == nil && version != 1 {
		return nil, fmt.Errorf("version %d", version)
	}
	list := []openedEntry{{entry: in.counted(), salt: in.bytes(saltSize)}}
	flags := in.byte()
	if flags&^(flagRow|flagManifest) != 0 {
		return nil, fmt.Errorf("flags %d", flags)
	}
	if flags&flagRow != 0 {
		in.bytes(blindSize)
		in.counted()
	}
	if flags&flagManifest != 0 {
		in.counted()
		ddl := openedEntry{index: in.index()}
		ddl.entry, ddl.salt = in.counted(), in.bytes(saltSize)
		for n := in.byte(); n > 0 && in.err == nil; n-- {
			ddl.proof = append(ddl.proof, in.hash())
		}
		list = append(list, ddl)
	}
	if in.err == nil && len(in.data) > 0 {
		in.err = errors.New("more bytes than it should have")
	}
	return list, in.err
}

// input takes bytes off the front; after the first error it gives zeros.
type input struct {
	data []byte
	err  error
}

func (in *input) bytes(n uint64) []byte {
	if in.err == nil && n > uint64(len(in.data)) {
		in.err = errors.New("ends too soon")
	}
	if in.err != nil {
		return nil
	}
	taken := in.data[:n]
	in.data = in.data[n:]
	return taken
}

func (in *input) byte() byte {
	if b := in.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (in *input) hash() (h tlog.Hash) {
	copy(h[:], in.bytes(tlog.HashSize))
	return h
}

func (in *input) index() int64 {
	b := in.bytes(8)
	if b == nil {
		return 0
	}
	n := binary.BigEndian.Uint64(b)
	if n > 1<<62 {
		in.err = fmt.Errorf("index %d", n)
	}
	return int64(n)
}

// counted is a length in LEB128, in its shortest form, and so many bytes.
func (in *input) counted() []byte {
	if in.err != nil {
		return nil
	}
	n, size := binary.Uvarint(in.data)
	if size <= 0 || size > 1 && in.data[size-1] == 0 {
		in.err = errors.New("bad length")
		return nil
	}
	in.data = in.data[size:]
	return in.bytes(n)
}
