package metrics

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"time"

	"github.com/repod-io/repod/aptrepo/storage"
)

// What the label operation has.
const (
	opOpen   = "open"
	opStat   = "stat"
	opPut    = "put"
	opCreate = "create"
	opDelete = "delete"
	opList   = "list"
)

// Storage returns b with its operations measured. What only some backends can do,
// it does as well as b: see the functions of package storage.
func (m *Meter) Storage(b storage.Backend) storage.Backend { return &measured{b, m} }

type measured struct {
	storage.Backend
	meter *Meter
}

var (
	_ storage.Creator     = (*measured)(nil)
	_ storage.Stater      = (*measured)(nil)
	_ storage.URLer       = (*measured)(nil)
	_ storage.TempCleaner = (*measured)(nil)
)

func (s *measured) ended(op string, began time.Time, err error) {
	s.meter.storage.WithLabelValues(op).Observe(time.Since(began).Seconds())
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) || errors.Is(err, context.Canceled) {
		return
	}
	s.meter.faults.WithLabelValues(op).Inc()
}

// Open implements [storage.Backend].
func (s *measured) Open(ctx context.Context, key string) (io.ReadCloser, storage.Info, error) {
	began := time.Now()
	f, info, err := s.Backend.Open(ctx, key)
	s.ended(opOpen, began, err)
	return f, info, err
}

// Put implements [storage.Backend].
func (s *measured) Put(ctx context.Context, key string, r io.ReadSeeker) error {
	began := time.Now()
	err := s.Backend.Put(ctx, key, r)
	s.ended(opPut, began, err)
	return err
}

// Delete implements [storage.Backend].
func (s *measured) Delete(ctx context.Context, key string) error {
	began := time.Now()
	err := s.Backend.Delete(ctx, key)
	s.ended(opDelete, began, err)
	return err
}

// List implements [storage.Backend]. Its time is that to the first file.
func (s *measured) List(ctx context.Context, prefix string) iter.Seq2[storage.Info, error] {
	return func(yield func(storage.Info, error) bool) {
		began, first := time.Now(), true
		for info, err := range s.Backend.List(ctx, prefix) {
			if first || err != nil {
				s.ended(opList, began, err)
			}
			first = false
			if !yield(info, err) {
				return
			}
		}
		if first {
			s.ended(opList, began, nil)
		}
	}
}

// Create implements [storage.Creator].
func (s *measured) Create(ctx context.Context, key string, r io.ReadSeeker) error {
	began := time.Now()
	err := storage.Create(ctx, s.Backend, key, r)
	s.ended(opCreate, began, err)
	return err
}

// Stat implements [storage.Stater].
func (s *measured) Stat(ctx context.Context, key string) (storage.Info, error) {
	began := time.Now()
	info, err := storage.Stat(ctx, s.Backend, key)
	s.ended(opStat, began, err)
	return info, err
}

// URL implements [storage.URLer].
func (s *measured) URL(ctx context.Context, key string) (string, error) {
	return storage.URL(ctx, s.Backend, key)
}

// CleanTemp implements [storage.TempCleaner].
func (s *measured) CleanTemp(ctx context.Context, before time.Time) (int, error) {
	return storage.CleanTemp(ctx, s.Backend, before)
}
