package vuln

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// A jsonReader reads JSON value by value, so that memory holds one value, of
// bounded size.
type jsonReader struct {
	dec *json.Decoder
	in  *leash
	max int64
}

// A leash lets a reader advance only as far as the values allow that were asked
// for.
type leash struct {
	r       io.Reader
	n, stop int64
}

var errValueTooLarge = errors.New("a value is too large")

func (l *leash) Read(p []byte) (int, error) {
	if l.n >= l.stop {
		return 0, errValueTooLarge
	}
	n, err := l.r.Read(p[:min(int64(len(p)), l.stop-l.n)])
	l.n += int64(n)
	return n, err
}

func newJSONReader(r io.Reader, max int64) *jsonReader {
	in := &leash{r: r}
	return &jsonReader{dec: json.NewDecoder(in), in: in, max: max}
}

// token reads the next token. What it reads ahead is bounded as a value is.
func (j *jsonReader) token() (json.Token, error) {
	j.in.stop = j.dec.InputOffset() + j.max
	t, err := j.dec.Token()
	return t, whole(err)
}

// decode reads the next value. encoding/json bounds how deep it may nest.
func (j *jsonReader) decode(v any) error {
	j.in.stop = j.dec.InputOffset() + j.max
	return whole(j.dec.Decode(v))
}

func (j *jsonReader) more() bool {
	j.in.stop = j.dec.InputOffset() + j.max
	return j.dec.More()
}

// whole makes an end that comes too early an error that callers cannot take for
// a good end.
func whole(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// open reads "{" or "[".
func (j *jsonReader) open(want json.Delim) error {
	t, err := j.token()
	if err != nil {
		return err
	}
	if t != want {
		return fmt.Errorf("found %v at byte %d, want %v", t, j.dec.InputOffset(), want)
	}
	return nil
}

// members calls fn for each member of an object, whose value fn reads.
func (j *jsonReader) members(fn func(name string) error) error {
	if err := j.open('{'); err != nil {
		return err
	}
	for j.more() {
		t, err := j.token()
		if err != nil {
			return err
		}
		name, ok := t.(string)
		if !ok {
			return fmt.Errorf("found %v at byte %d, want a name", t, j.dec.InputOffset())
		}
		if err := fn(name); err != nil {
			return err
		}
	}
	_, err := j.token()
	return err
}

// end makes sure that nothing follows.
func (j *jsonReader) end() error {
	j.in.stop = j.dec.InputOffset() + j.max
	t, err := j.dec.Token()
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("found %v at byte %d, want the end", t, j.dec.InputOffset())
}

// word is a string where databases also have other things, which are ignored.
type word string

func (w *word) UnmarshalJSON(b []byte) error {
	var s string
	if len(b) > 0 && b[0] == '"' && json.Unmarshal(b, &s) == nil {
		*w = word(s)
	}
	return nil
}
