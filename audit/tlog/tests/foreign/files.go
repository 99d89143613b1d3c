package main

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"

	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/api/layout"
	"github.com/transparency-dev/tessera/client"
)

// files reads a log's files, and remembers which were asked for. Each must have its width to the byte: Tessera would also take a longer
// one, or a whole one in the place of a partial one.
type files struct {
	client.FileFetcher
	mutex sync.Mutex
	asked map[string]bool
}

func newFiles(root string) *files {
	return &files{FileFetcher: client.FileFetcher{Root: root}, asked: map[string]bool{layout.CheckpointPath: true}}
}

func (f *files) ReadTile(ctx context.Context, level, index uint64, partial uint8) ([]byte, error) {
	raw, err := f.FileFetcher.ReadTile(ctx, level, index, partial)
	if err != nil {
		return nil, err
	}
	tile := api.HashTile{}
	err = tile.UnmarshalText(raw)
	return raw, f.is(layout.TilePath(level, index, partial), partial, len(tile.Nodes), err)
}

func (f *files) ReadEntryBundle(ctx context.Context, index uint64, partial uint8) ([]byte, error) {
	raw, err := f.FileFetcher.ReadEntryBundle(ctx, index, partial)
	if err != nil {
		return nil, err
	}
	hashes, err := leaves(raw)
	return raw, f.is(layout.EntriesPath(index, partial), partial, len(hashes), err)
}

// is says whether what was read is as wide as its name says.
func (f *files) is(name string, partial uint8, found int, err error) error {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.asked[name] = true
	width := int(partial)
	if partial == 0 {
		width = layout.TileWidth
	}
	if err == nil && found != width {
		return fmt.Errorf("%s is of %d", name, found)
	}
	return err
}

// leaves hashes the entries of a bundle.
func leaves(raw []byte) ([][]byte, error) {
	bundle := api.EntryBundle{}
	if err := bundle.UnmarshalText(raw); err != nil {
		return nil, err
	}
	hashes := make([][]byte, 0, len(bundle.Entries))
	for _, entry := range bundle.Entries {
		hashes = append(hashes, rfc6962.DefaultHasher.HashLeaf(entry))
	}
	return hashes, nil
}

// under lists the files of a folder, by their paths in it.
func under(root string) ([]string, error) {
	var names []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(root, path)
		names = append(names, filepath.ToSlash(name))
		return err
	})
	return names, err
}
