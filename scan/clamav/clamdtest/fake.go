package clamdtest

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// A Conn is a client's connection to a fake.
type Conn struct {
	net.Conn
	r *bufio.Reader
}

// Command reads a command without its "z" and NUL: "VERSION". It is "" at the
// end of the connection.
func (c *Conn) Command() string {
	text, err := c.r.ReadString(0)
	if err != nil {
		return ""
	}
	return strings.TrimPrefix(strings.TrimSuffix(text, "\x00"), "z")
}

// Stream reads the content that follows INSTREAM, and reports whether it was
// complete.
func (c *Conn) Stream() (content []byte, complete bool) {
	for {
		var length [4]byte
		if _, err := io.ReadFull(c.r, length[:]); err != nil {
			return content, false
		}
		n := binary.BigEndian.Uint32(length[:])
		if n == 0 {
			return content, true
		}
		chunk := make([]byte, n)
		if _, err := io.ReadFull(c.r, chunk); err != nil {
			return content, false
		}
		content = append(content, chunk...)
	}
}

// Say sends text and a NUL.
func (c *Conn) Say(text string) {
	_, _ = io.WriteString(c, text+"\x00") // the client may have gone
}

// Greet takes the beginning of a session whose first command is VERSION, and
// answers it. It reports whether that is what came.
func (c *Conn) Greet() bool {
	if c.Command() != "IDSESSION" || c.Command() != "VERSION" {
		return false
	}
	c.Say("1: ClamAV 1.4.3/27969/Tue May 12 06:24:30 2026")
	return true
}

// Fake listens on loopback, serves each connection by a goroutine that calls
// serve and closes it, and returns its address. It ends with the test.
func Fake(t testing.TB, serve func(*Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			if open == nil {
				conn.Close()
			} else {
				open[conn] = true
			}
			mu.Unlock()
			all.Go(func() {
				defer conn.Close()
				serve(&Conn{conn, bufio.NewReader(conn)})
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for conn := range open {
			conn.Close()
		}
		open = nil
		mu.Unlock()
		all.Wait()
	})
	return "tcp://" + l.Addr().String()
}
