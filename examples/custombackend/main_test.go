package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/repod-io/repod/aptrepo/storage"
	"github.com/repod-io/repod/aptrepo/storage/storagetest"
)

func openTable(t *testing.T, name string) *Table {
	t.Helper()
	table, err := OpenTable(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { table.Close() })
	return table
}

func TestTable(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storage.Backend {
		return openTable(t, filepath.Join(t.TempDir(), "files.db"))
	})
}

// What one run stored is there for the next, and not replaced.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	database, deb := filepath.Join(dir, "files.db"), filepath.Join(dir, "x_1_all.deb")
	if err := os.WriteFile(deb, []byte("body"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), io.Discard, database, []string{deb}); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), io.Discard, database, []string{deb}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("storing a file again: %v, want fs.ErrExist", err)
	}
	var out strings.Builder
	if err := run(t.Context(), &out, database, nil); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "pool/x_1_all.deb, 4 bytes\n"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
}
