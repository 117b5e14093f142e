package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	height = 8 // of a tile
	width  = 1 << height

	// tlog's name for what C2SP calls the entries: a tile of this level.
	entries = -1

	// By this medsync knows a directory of its own; not part of the log.
	marker = ".medsync-export"
)

// exported is a public export in a directory.
type exported struct {
	dir    string
	origin string
	tree   tlog.Tree
	files  int // how many were compared
}

func openLog(dir string, key note.Verifier) (*exported, error) {
	signed, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	if err != nil {
		return nil, notChecked{err}
	}
	log := &exported{dir: dir}
	log.origin, log.tree, err = openCheckpoint(signed, key)
	return log, err
}

// tilePath is where C2SP has a tile.  tlog puts the height before the level
// and calls the entries data.
func tilePath(t tlog.Tile) string {
	path := strings.TrimPrefix(t.Path(), fmt.Sprintf("tile/%d/", t.H))
	if t.L == entries {
		path = "entries/" + strings.TrimPrefix(path, "data/")
	}
	return "tile/" + path
}

// parseTilePath is its inverse.
func parseTilePath(path string) (tlog.Tile, error) {
	rest := strings.TrimPrefix(path, "tile/")
	if after, ok := strings.CutPrefix(rest, "entries/"); ok {
		rest = "data/" + after
	}
	t, err := tlog.ParseTilePath(fmt.Sprintf("tile/%d/%s", height, rest))
	if err == nil && tilePath(t) != path {
		err = errors.New("not in its only form")
	}
	return t, err
}

func (log *exported) read(t tlog.Tile) ([]byte, error) {
	return os.ReadFile(filepath.Join(log.dir, filepath.FromSlash(tilePath(t))))
}

// The tiles as tlog wants to read them.
func (log *exported) Height() int { return height }

func (log *exported) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	contents := make([][]byte, len(tiles))
	for i, t := range tiles {
		var err error
		if contents[i], err = log.read(t); err != nil {
			return nil, err
		}
	}
	return contents, nil
}

func (log *exported) SaveTiles([]tlog.Tile, [][]byte) {}

// reader gives hashes out of the tiles, all of them checked up to the root.
func (log *exported) reader() tlog.HashReader {
	return tlog.TileHashReader(log.tree, log)
}

// bundles are the entry bundles of a log of this size.
func bundles(size int64) []tlog.Tile {
	var list []tlog.Tile
	for n := int64(0); n*width < size; n++ {
		list = append(list, tlog.Tile{H: height, L: entries, N: n, W: int(min(width, size-n*width))})
	}
	return list
}

// splitBundle takes an entry bundle apart: big-endian uint16 length, entry.
func splitBundle(data []byte) ([][]byte, error) {
	var list [][]byte
	for len(data) > 0 {
		if len(data) < 2 {
			return nil, errors.New("ends within a length")
		}
		n := int(binary.BigEndian.Uint16(data))
		if len(data) < 2+n {
			return nil, errors.New("ends within an entry")
		}
		list = append(list, data[2:2+n])
		data = data[2+n:]
	}
	return list, nil
}

// recomputed is a tree made from the entries alone: its hashes in tlog's
// stored order.
type recomputed []tlog.Hash

func (r recomputed) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	list := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		if x >= int64(len(r)) {
			return nil, fmt.Errorf("hash %d is not there yet", x)
		}
		list[i] = r[x]
	}
	return list, nil
}

// check reads everything: the entries make the tree, the tree makes the root
// and every tile, and no file says anything else.
func (log *exported) check() error {
	hashes, err := log.rehash()
	if err != nil {
		return err
	}
	if root, err := tlog.TreeHash(log.tree.N, hashes); err != nil {
		return err
	} else if root != log.tree.Hash {
		return fmt.Errorf("the entries make the root %v, the checkpoint says %v", root, log.tree.Hash)
	}
	if err := log.checkTiles(hashes); err != nil {
		return err
	}
	if err := log.checkReader(hashes); err != nil {
		return err
	}
	return log.checkFiles(hashes)
}

// rehash makes the tree from the entry bundles.
func (log *exported) rehash() (recomputed, error) {
	hashes := make(recomputed, 0, tlog.StoredHashCount(log.tree.N))
	for _, t := range bundles(log.tree.N) {
		data, err := log.read(t)
		if err != nil {
			return nil, err
		}
		list, err := splitBundle(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", tilePath(t), err)
		}
		if len(list) != t.W {
			return nil, fmt.Errorf("%s: has %d entries, should have %d", tilePath(t), len(list), t.W)
		}
		for i, entry := range list {
			more, err := tlog.StoredHashesForRecordHash(t.N*width+int64(i), tlog.RecordHash(entry), hashes)
			if err != nil {
				return nil, err
			}
			hashes = append(hashes, more...)
		}
	}
	return hashes, nil
}

// checkTiles compares every tile of the tree with what the entries make.
func (log *exported) checkTiles(hashes recomputed) error {
	for _, t := range tlog.NewTiles(height, 0, log.tree.N) {
		found, err := log.read(t)
		if err != nil {
			return err
		}
		expected, err := tlog.ReadTileData(t, hashes)
		if err != nil {
			return err
		}
		if !bytes.Equal(found, expected) {
			return fmt.Errorf("%s: differs from what the entries make", tilePath(t))
		}
	}
	return nil
}

// checkReader goes the other way, as a client would that has the checkpoint
// and fetches tiles: from the root down to every leaf.
func (log *exported) checkReader(hashes recomputed) error {
	if log.tree.N == 0 {
		return nil
	}
	if root, err := tlog.TreeHash(log.tree.N, log.reader()); err != nil {
		return err
	} else if root != log.tree.Hash {
		return fmt.Errorf("the tiles make the root %v, the checkpoint says %v", root, log.tree.Hash)
	}
	for _, t := range bundles(log.tree.N) {
		indexes := make([]int64, t.W)
		for i := range indexes {
			indexes[i] = tlog.StoredHashIndex(0, t.N*width+int64(i))
		}
		found, err := log.reader().ReadHashes(indexes)
		if err != nil {
			return err
		}
		expected, err := hashes.ReadHashes(indexes)
		if err != nil {
			return err
		}
		for i := range found {
			if found[i] != expected[i] {
				return fmt.Errorf("leaf %d: its tile says %v, its entry %v", t.N*width+int64(i), found[i], expected[i])
			}
		}
	}
	return nil
}

// checkFiles looks at every file, also those of earlier sizes: a partial tile
// or bundle must be the beginning of what the tree has now.
func (log *exported) checkFiles(hashes recomputed) error {
	return filepath.WalkDir(log.dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		path, err := filepath.Rel(log.dir, name)
		if err != nil {
			return err
		}
		path = filepath.ToSlash(path)
		if path == marker {
			return nil
		}
		log.files++
		if path == "checkpoint" {
			return nil
		}
		t, err := parseTilePath(path)
		if err != nil || t.N > log.tree.N {
			return fmt.Errorf("%s: is not part of a log", path)
		}
		found, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return log.checkFile(t, found, hashes)
	})
}

func (log *exported) checkFile(t tlog.Tile, found []byte, hashes recomputed) error {
	if t.L == entries {
		return log.checkBundle(t, found, hashes)
	}
	expected, err := tlog.ReadTileData(t, hashes)
	if err != nil {
		return fmt.Errorf("%s: is beyond the tree", tilePath(t))
	}
	if !bytes.Equal(found, expected) {
		return fmt.Errorf("%s: differs from what the entries make", tilePath(t))
	}
	return nil
}

func (log *exported) checkBundle(t tlog.Tile, found []byte, hashes recomputed) error {
	list, err := splitBundle(found)
	if err != nil {
		return fmt.Errorf("%s: %w", tilePath(t), err)
	}
	if len(list) != t.W || t.N*width+int64(t.W) > log.tree.N {
		return fmt.Errorf("%s: has %d entries of a log with %d", tilePath(t), len(list), log.tree.N)
	}
	for i, entry := range list {
		index := t.N*width + int64(i)
		if tlog.RecordHash(entry) != hashes[tlog.StoredHashIndex(0, index)] {
			return fmt.Errorf("%s: entry %d differs from the log's", tilePath(t), index)
		}
	}
	return nil
}
