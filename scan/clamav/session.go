package clamav

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

const (
	// window is how many files may be with clamd at a time. More would keep
	// clamd no busier: it has 10 threads by default.
	window = 32
	// pipelined is the most bytes of a file that is with clamd beside others. A
	// greater one may exceed clamd's limit, which ends the session and would take
	// the others' answers with it.
	pipelined = 1 << 20
	// maxChunk is how much of a file is sent under one length, in bytes.
	maxChunk = 1 << 20
	// farewell is how long clamd has to say why it hung up.
	farewell = 2 * time.Second
)

// A session is an IDSESSION with clamd. One goroutine sends files, another
// reads the answers, which come in any order, and ends with the connection.
type session struct {
	conn    net.Conn
	out     *bufio.Writer
	timeout time.Duration
	stop    func() bool   // of the end of the context
	alone   bool          // the last file was a large one
	used    time.Time     // when something was sent last
	ended   chan struct{} // closed when the reader has ended

	mu      sync.Mutex
	changed *sync.Cond        // an answer has come, or the reader has ended
	last    uint32            // number of the last command
	sending uint32            // number of the file that is not complete yet, or 0
	waiting map[uint32]string // paths of files without an answer, by number
	greeted bool              // the version has come
	engine  string            // the version
	results results
	err     error // why the reader ended
}

// open begins a session, whose first command asks for the version. The session
// ends with ctx.
func (s *Scanner) open(ctx context.Context) (*session, error) {
	conn, err := s.dial(ctx)
	if err != nil {
		return nil, err
	}
	ss := &session{
		conn: conn, out: bufio.NewWriterSize(conn, 96<<10), timeout: s.timeout(),
		ended: make(chan struct{}), waiting: map[uint32]string{}, last: 1, used: time.Now(),
	}
	ss.changed = sync.NewCond(&ss.mu)
	ss.stop = context.AfterFunc(ctx, func() { conn.Close() })
	_, _ = ss.out.WriteString("zIDSESSION\x00zVERSION\x00") // Flush tells
	ss.allow()
	if err := ss.flush(); err != nil {
		ss.stop()
		conn.Close()
		return nil, fmt.Errorf("greet clamd: %w", plain(err))
	}
	go ss.read()
	return ss, nil
}

// close ends the session and waits until nothing of it is left.
func (ss *session) close() {
	ss.stop()
	ss.conn.Close()
	<-ss.ended
}

// allow gives clamd the time for its next answer, if it owes one.
func (ss *session) allow() {
	owed := len(ss.waiting)
	if ss.sending != 0 {
		owed--
	}
	var deadline time.Time
	if owed > 0 || !ss.greeted {
		deadline = time.Now().Add(ss.timeout)
	}
	_ = ss.conn.SetReadDeadline(deadline) // a connection without deadlines is cut by the context
}

// read takes answers until the connection ends.
func (ss *session) read() {
	defer close(ss.ended)
	r := bufio.NewReaderSize(ss.conn, maxReply)
	var err error
	for err == nil {
		var line []byte
		if line, err = r.ReadSlice(0); err == nil {
			err = ss.answered(string(line[:len(line)-1]))
		}
	}
	if errors.Is(err, bufio.ErrBufferFull) {
		err = errGarbage
	}
	ss.conn.Close() // who sends into it should know at once
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.err = err
	ss.changed.Broadcast()
}

// answered takes note of an answer. Its error ends the session.
func (ss *session) answered(line string) error {
	r, err := parseReply(line)
	if err != nil {
		return err
	}
	ss.mu.Lock()
	defer ss.mu.Unlock()
	defer ss.changed.Broadcast()
	if r.number == 1 {
		if r.kind != version || ss.greeted {
			return errGarbage
		}
		ss.greeted, ss.engine = true, engineName(r.text)
		ss.allow()
		return nil
	}
	path, asked := ss.waiting[r.number]
	unfinished := r.number == ss.sending
	switch {
	case !asked, r.kind == version:
		return errGarbage
	case unfinished && r.kind == ok: // who has not read the file cannot know
		return errGarbage
	}
	delete(ss.waiting, r.number)
	if unfinished {
		ss.sending = 0
	}
	ss.results.add(path, r)
	if r.kind == limited || unfinished {
		return errHungUp
	}
	ss.allow()
	return nil
}

// errHungUp: clamd does not want the rest of a file, and has said why.
var errHungUp = errors.New("clamd refused the rest of a file")

// state returns why the session is over, and whether any answer is missing.
func (ss *session) state() (err error, owing bool) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return ss.err, len(ss.waiting) > 0 || !ss.greeted
}

// wait returns when at most n files are without an answer, or else why the
// session ended.
func (ss *session) wait(n int) error {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	for len(ss.waiting) > n || n == 0 && !ss.greeted {
		if ss.err != nil {
			return ss.broken(ss.err)
		}
		ss.changed.Wait()
	}
	return nil
}

// broken says for people why the session ended.
func (ss *session) broken(err error) error {
	switch {
	case isTimeout(err):
		return fmt.Errorf("clamd did not answer for %v", ss.timeout)
	case errors.Is(err, io.EOF), errors.Is(err, errHungUp), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET):
		return errors.New("clamd hung up")
	}
	return plain(err)
}

func isTimeout(err error) bool {
	var late net.Error
	return errors.As(err, &late) && late.Timeout()
}

func (ss *session) flush() error {
	if err := ss.conn.SetWriteDeadline(time.Now().Add(ss.timeout)); err != nil {
		return err
	}
	ss.used = time.Now()
	return ss.out.Flush()
}

// room waits until a file of that size may be sent. Its error is why the
// session ended before.
func (ss *session) room(size int64) error {
	most := window - 1
	if size > pipelined || ss.alone {
		most = 0
	}
	ss.alone = size > pipelined
	return ss.wait(most)
}

// start begins to send a file.
func (ss *session) start(path string) error {
	ss.mu.Lock()
	ss.last++
	ss.sending = ss.last
	ss.waiting[ss.last] = path
	ss.mu.Unlock()
	_, err := ss.out.WriteString("zINSTREAM\x00")
	return err
}

// send sends a part of the file that was started.
func (ss *session) send(p []byte) error {
	for len(p) > 0 {
		n := min(len(p), maxChunk)
		if err := ss.conn.SetWriteDeadline(time.Now().Add(ss.timeout)); err != nil {
			return err
		}
		var length [4]byte
		binary.BigEndian.PutUint32(length[:], uint32(n))
		_, _ = ss.out.Write(length[:]) // the error stays with out
		if _, err := ss.out.Write(p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// end tells clamd that the file is complete.
func (ss *session) end() error {
	ss.mu.Lock()
	ss.sending = 0
	ss.allow()
	ss.mu.Unlock()
	_, _ = ss.out.Write(make([]byte, 4))
	return ss.flush()
}

// refused reports, after sending has failed with err, whether clamd has said
// why; else it returns what to say. clamd answers, and hangs up while we are
// still writing: the answer has to be read first.
func (ss *session) refused(err error) error {
	// The reader may be past the deadline that it had been given.
	_ = ss.conn.SetReadDeadline(time.Now().Add(min(farewell, ss.timeout)))
	<-ss.ended
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if errors.Is(ss.err, errHungUp) && len(ss.waiting) == 0 {
		return nil
	}
	if !isTimeout(ss.err) {
		err = ss.err
	}
	return ss.broken(err)
}
