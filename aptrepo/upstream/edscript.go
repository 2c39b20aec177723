package upstream

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
)

// errScript marks a patch that is no script for ed(1) as "diff --ed" writes
// them, or that does not fit the text.
var errScript = errors.New("malformed patch")

// A hunk replaces the lines first to last, counted from 1, by text. last is
// first-1 where nothing goes.
type hunk struct {
	first, last int64
	text        []byte
}

const maxLine = int64(1) << 40

// parseScript reads the commands a, c and d with their line numbers. They must
// go from the end of the text to its beginning, as apt wants them too: only so
// the numbers are those of the original text. Hunks come in the order of the
// text.
func parseScript(script []byte) ([]hunk, error) {
	var hunks []hunk
	below := maxLine // what the next command may not touch
	for len(script) > 0 {
		line, rest, ok := bytes.Cut(script, []byte{'\n'})
		if !ok {
			return nil, fmt.Errorf("%w: it ends early", errScript)
		}
		h, command, err := parseCommand(line)
		if err != nil {
			return nil, err
		}
		if script = rest; command != 'd' {
			if h.text, script, ok = cutText(rest); !ok {
				return nil, fmt.Errorf("%w: text without end", errScript)
			}
		}
		if h.last >= below {
			return nil, fmt.Errorf("%w: commands out of order", errScript)
		}
		below = h.first
		hunks = append(hunks, h)
	}
	slices.Reverse(hunks)
	return hunks, nil
}

// cutText returns the text up to the line that is a dot, and what follows it.
func cutText(b []byte) (text, rest []byte, ok bool) {
	if rest, ok := bytes.CutPrefix(b, []byte(".\n")); ok {
		return nil, rest, true
	}
	i := bytes.Index(b, []byte("\n.\n"))
	if i < 0 {
		return nil, nil, false
	}
	return b[:i+1], b[i+3:], true
}

// parseCommand reads "5a", "5c", "5d", "5,7c" or "5,7d".
func parseCommand(line []byte) (h hunk, command byte, err error) {
	malformed := fmt.Errorf("%w: command %.40q", errScript, line)
	if len(line) < 2 {
		return h, 0, malformed
	}
	command = line[len(line)-1]
	from, to, ranged := bytes.Cut(line[:len(line)-1], []byte{','})
	first, ok := lineNumber(from)
	last := first
	if ranged && ok {
		last, ok = lineNumber(to)
	}
	switch {
	case !ok, last < first:
		return h, 0, malformed
	case command == 'a' && !ranged:
		return hunk{first: first + 1, last: first}, command, nil
	case (command == 'c' || command == 'd') && first > 0:
		return hunk{first: first, last: last}, command, nil
	}
	return h, 0, malformed
}

func lineNumber(b []byte) (int64, bool) {
	n, err := strconv.ParseUint(string(b), 10, 40)
	return int64(n), err == nil && b[0] != '+'
}

// applyScript writes to w what the hunks make of the text in r, in memory that
// does not grow with it.
func applyScript(w io.Writer, r io.Reader, hunks []hunk) error {
	in := &lineReader{br: bufio.NewReaderSize(r, 256<<10)}
	for _, h := range hunks {
		if err := in.copyLines(w, h.first-1-in.line); err != nil {
			return err
		}
		if err := in.copyLines(io.Discard, h.last-in.line); err != nil {
			return err
		}
		if _, err := w.Write(h.text); err != nil {
			return err
		}
	}
	_, err := in.br.WriteTo(w)
	return err
}

// lineReader counts the lines that it takes from a text.
type lineReader struct {
	br   *bufio.Reader
	line int64
}

// copyLines takes n lines, in pieces as large as the buffer.
func (in *lineReader) copyLines(w io.Writer, n int64) error {
	for in.line += n; n > 0; {
		if _, err := in.br.Peek(1); err != nil {
			return fmt.Errorf("%w: it regards lines that are not there", errScript)
		}
		piece, _ := in.br.Peek(in.br.Buffered())
		size := 0
		for n > 0 && size < len(piece) {
			end := bytes.IndexByte(piece[size:], '\n')
			if end < 0 {
				size = len(piece)
				break
			}
			size += end + 1
			n--
		}
		if _, err := w.Write(piece[:size]); err != nil {
			return err
		}
		in.br.Discard(size)
	}
	return nil
}
