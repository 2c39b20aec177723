package clamav

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// A Status says whether clamd is there, and what it knows.
type Status struct {
	Available     bool
	EngineVersion string // "1.4.3"
	// SignatureVersion is that of the daily signatures, "27969"; "" if clamd has
	// none but an administrator's own.
	SignatureVersion string
	// SignatureDate is when those were made; zero if there are none. clamd
	// prints its local time without saying which, and it is taken for UTC.
	SignatureDate time.Time
	// Detail says why clamd is not available, or not to be relied on: it has the
	// limits that Probe is about.
	Detail string
}

// Status asks clamd. It takes no longer than Timeout or half a minute,
// whichever is shorter.
func (s *Scanner) Status(ctx context.Context) Status {
	ctx, cancel := context.WithTimeout(ctx, min(s.timeout(), 30*time.Second))
	defer cancel()
	st := s.version(ctx)
	if !st.Available {
		return st
	}
	switch alerts, err := s.alerts(ctx); {
	case err != nil:
		st.Detail = err.Error()
	case !alerts:
		st.Detail = silent
	}
	return st
}

// version asks clamd whether it is there.
func (s *Scanner) version(ctx context.Context) Status {
	ctx, cancel := context.WithTimeout(ctx, min(s.timeout(), 30*time.Second))
	defer cancel()
	pong, err := s.ask(ctx, "PING", nil)
	if err == nil && pong != "PONG" {
		err = errGarbage
	}
	var text string
	if err == nil {
		text, err = s.ask(ctx, "VERSION", nil)
	}
	var st Status
	if err == nil {
		st, err = parseVersion(text)
	}
	if err != nil {
		return Status{Detail: err.Error()}
	}
	return st
}

// parseVersion reads both forms of the answer to VERSION: "ClamAV 1.4.6", and
// with daily signatures "ClamAV 1.4.3/27969/Tue May 12 06:24:30 2026".
func parseVersion(text string) (Status, error) {
	rest, is := strings.CutPrefix(text, "ClamAV ")
	if !is || !printable(text) {
		return Status{}, errGarbage
	}
	engine, rest, more := strings.Cut(rest, "/")
	st := Status{Available: true, EngineVersion: engine}
	if engine == "" {
		return Status{}, errGarbage
	}
	if !more {
		return st, nil
	}
	number, date, _ := strings.Cut(rest, "/")
	if _, err := strconv.ParseUint(number, 10, 32); err != nil {
		return Status{}, errGarbage
	}
	st.SignatureVersion = number
	// A date of another form is no reason to call clamd unavailable.
	if d, err := time.Parse(time.ANSIC, date); err == nil {
		st.SignatureDate = d
	}
	return st, nil
}

// engineName is what a report calls the engine: "ClamAV 1.4.3/27969".
func engineName(text string) string {
	program, rest, _ := strings.Cut(text, "/")
	if signatures, _, _ := strings.Cut(rest, "/"); signatures != "" {
		return program + "/" + signatures
	}
	return program
}

// ask sends one command by a connection of its own, with content as its
// stream unless it is nil, and returns the answer.
func (s *Scanner) ask(ctx context.Context, command string, content []byte) (string, error) {
	conn, err := s.dial(ctx)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	_ = conn.SetDeadline(time.Now().Add(s.timeout())) // else the context cuts it
	message := []byte("z" + command + "\x00")
	if content != nil {
		message = binary.BigEndian.AppendUint32(message, uint32(len(content)))
		message = binary.BigEndian.AppendUint32(append(message, content...), 0)
	}
	_, written := conn.Write(message)
	// clamd may have answered, and hung up, before it had everything.
	line, err := bufio.NewReaderSize(io.LimitReader(conn, maxReply), maxReply).ReadSlice(0)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case isTimeout(err):
		return "", fmt.Errorf("clamd did not answer %s", command)
	case written != nil:
		return "", fmt.Errorf("send %s to clamd: %w", command, plain(written))
	case errors.Is(err, io.EOF):
		return "", fmt.Errorf("clamd hung up on %s", command)
	default:
		return "", fmt.Errorf("read clamd's answer to %s: %w", command, plain(err))
	}
	return string(line[:len(line)-1]), nil
}

// pollEvery is the time between two questions for the version.
const pollEvery = 250 * time.Millisecond

// Reload has clamd load its signatures again, and waits until its version
// differs from that in before, or wait is over: clamd does not tell when it is
// done, and signatures of an administrator's own have no version. It returns
// the status at the end. Its error says that clamd did not accept the command,
// or is not there at the end.
func (s *Scanner) Reload(ctx context.Context, before Status, wait time.Duration) (Status, error) {
	answer, err := s.ask(ctx, "RELOAD", nil)
	if err == nil && answer != "RELOADING" {
		err = errGarbage
	}
	if err != nil {
		return Status{}, fmt.Errorf("reload: %w", err)
	}
	end := time.NewTimer(wait)
	defer end.Stop()
	for {
		// A clamd that scans and loads by turns is silent meanwhile.
		st := s.version(ctx)
		if st.Available && !st.same(before) {
			return st, nil
		}
		select {
		case <-time.After(pollEvery):
			continue
		case <-ctx.Done():
			return Status{}, fmt.Errorf("reload: %w", context.Cause(ctx))
		case <-end.C:
		}
		if !st.Available {
			return st, fmt.Errorf("reload: %s", st.Detail)
		}
		return st, nil
	}
}

func (st Status) same(other Status) bool {
	return st.EngineVersion == other.EngineVersion && st.SignatureVersion == other.SignatureVersion &&
		st.SignatureDate.Equal(other.SignatureDate)
}

// Probe has clamd scan an archive of archives, deeper than clamd can be told to
// go, and reports whether clamd says so. If it does not, it calls files OK that
// it has not looked at as a whole, and AlertExceedsMax has to be set.
func (s *Scanner) Probe(ctx context.Context) (alerts bool, err error) {
	answer, err := s.ask(ctx, "INSTREAM", deepArchive())
	if err != nil {
		return false, fmt.Errorf("probe: %w", err)
	}
	k, text, err := parseVerdict(answer)
	switch {
	case err != nil:
		return false, fmt.Errorf("probe: %w", err)
	case k == ok:
		return false, nil
	case k == found:
		if _, is := notMalware(text); is {
			return true, nil
		}
	}
	return false, fmt.Errorf("probe: clamd answers %q", answer)
}

// deepArchive nests 110 zip files; clamd's MaxRecursion may be 100.
func deepArchive() []byte {
	content := []byte("the innermost file")
	for range 110 {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		w, _ := z.CreateHeader(&zip.FileHeader{Name: "a.zip", Method: zip.Store}) // a Buffer takes everything
		_, _ = w.Write(content)
		_ = z.Close()
		content = b.Bytes()
	}
	return content
}
