package httpapi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// deadlineWriter notes the deadlines that are set.
type deadlineWriter struct {
	*httptest.ResponseRecorder
	set    []time.Time
	writes int
}

func (w *deadlineWriter) SetWriteDeadline(time.Time) error {
	w.writes++
	return nil
}

func (w *deadlineWriter) SetReadDeadline(t time.Time) error {
	w.set = append(w.set, t)
	return nil
}

func TestProgressReader(t *testing.T) {
	for _, test := range []struct {
		name string
		size int
		last error
		want int // deadlines set
	}{
		{"empty", 0, io.EOF, 2},
		{"short", 1000, io.EOF, 2},
		{"one step", bodyStep, io.EOF, 3},
		{"ten steps", 10 * bodyStep, io.EOF, 12},
		{"cut", 1000, io.ErrUnexpectedEOF, 2},
		{"silent", 1000, os.ErrDeadlineExceeded, 1},
	} {
		w := &deadlineWriter{ResponseRecorder: httptest.NewRecorder()}
		a := &api{Config: Config{BodyTimeout: time.Minute}}
		body := io.MultiReader(strings.NewReader(strings.Repeat("x", test.size)), failing{test.last})
		n, err := io.Copy(io.Discard, a.progress(&call{w: newRecorder(w)}, body))
		if n != int64(test.size) || len(w.set) != test.want {
			t.Errorf("%s: %d bytes, deadlines %v", test.name, n, w.set)
		}
		if test.last == os.ErrDeadlineExceeded {
			if !errors.Is(err, errTooSlow) {
				t.Errorf("%s: %v", test.name, err)
			}
		} else if last := w.set[len(w.set)-1]; !last.IsZero() {
			t.Errorf("%s: the deadline %v stays", test.name, last)
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestGate(t *testing.T) {
	g := &gate{most: 3, mostEach: 2}
	enter := func(who string) func() {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // who has to wait, gives up
		leave, err := g.enter(ctx, who)
		if err != nil {
			return nil
		}
		return leave
	}
	a1, a2 := enter("a"), enter("a")
	if a1 == nil || a2 == nil || enter("a") != nil {
		t.Error("each may be there twice")
	}
	b := enter("b")
	if b == nil || enter("c") != nil {
		t.Error("three may be there")
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		leave, err := g.enter(t.Context(), "c")
		if err != nil {
			t.Error(err)
			return
		}
		leave()
	})
	a1()
	wg.Wait()
	a2()
	b()
	if g.inside != 0 || len(g.each) != 0 {
		t.Errorf("afterwards %d are inside: %v", g.inside, g.each)
	}
}

// TestRecorder checks what the access log is told.
func TestRecorder(t *testing.T) {
	w := httptest.NewRecorder()
	r := newRecorder(w)
	if _, err := io.Copy(r, strings.NewReader("hello")); err != nil {
		t.Fatal(err)
	}
	r.WriteHeader(http.StatusTeapot)
	if r.status != 200 || r.bytes != 5 || w.Body.String() != "hello" {
		t.Errorf("status %d, %d bytes, %q", r.status, r.bytes, w.Body)
	}
}

// TestWriteDeadlines checks that a client gets time for each step, not for the
// whole.
func TestWriteDeadlines(t *testing.T) {
	w := &deadlineWriter{ResponseRecorder: httptest.NewRecorder()}
	r := newRecorder(w)
	if _, err := io.Copy(r, io.LimitReader(zeros{}, 3*writeStep)); err != nil {
		t.Fatal(err)
	}
	if w.writes != 5 { // at the start, with the header, and for each step
		t.Errorf("%d deadlines", w.writes)
	}
}

// TestSpoolFileRemoved checks what happens where open files cannot be removed.
func TestSpoolFileRemoved(t *testing.T) {
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	s := &spoolFile{ReadSeeker: file, disk: file, name: file.Name()}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file.Name()); !os.IsNotExist(err) {
		t.Errorf("the file is still there: %v", err)
	}
}
