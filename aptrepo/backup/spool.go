package backup

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"

	"github.com/repod-io/repod/aptrepo/sqlstore"
)

// A spool keeps a list of files on disk: the database is not to be read for as
// long as copying them takes.
type spool struct {
	file   *os.File
	out    *bufio.Writer
	encode *json.Encoder
	n      int64
}

func newSpool(dir string) (*spool, error) {
	f, err := os.CreateTemp(dir, "repod-backup-*")
	if err != nil {
		return nil, fmt.Errorf("keeping the list of files: %w", err)
	}
	out := bufio.NewWriter(f)
	return &spool{file: f, out: out, encode: json.NewEncoder(out)}, nil
}

func (s *spool) add(f sqlstore.StoredFile) error {
	s.n++
	return s.encode.Encode(f)
}

// each yields the files in the order in which they came. None may be added from
// then on.
func (s *spool) each() iter.Seq2[sqlstore.StoredFile, error] {
	return func(yield func(sqlstore.StoredFile, error) bool) {
		err := s.out.Flush()
		if err == nil {
			_, err = s.file.Seek(0, io.SeekStart)
		}
		in := json.NewDecoder(bufio.NewReader(s.file))
		for err == nil {
			var f sqlstore.StoredFile
			if err = in.Decode(&f); err == nil && !yield(f, nil) {
				return
			}
		}
		if !errors.Is(err, io.EOF) {
			yield(sqlstore.StoredFile{}, err)
		}
	}
}

func (s *spool) close() {
	_ = s.file.Close()
	_ = os.Remove(s.file.Name())
}
