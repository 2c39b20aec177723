package storage_test

import (
	"testing"

	"github.com/repod-io/repod/aptrepo/storage"
	"github.com/repod-io/repod/aptrepo/storage/storagetest"
)

func TestMem(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storage.Backend { return new(storage.Mem) })
}

func TestDir(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storage.Backend { return openDir(t, t.TempDir()) })
}

func openDir(t *testing.T, name string) *storage.Dir {
	t.Helper()
	d, err := storage.OpenDir(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}
