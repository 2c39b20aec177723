package clamav

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A kind is what a reply says.
type kind int

const (
	ok      kind = iota
	found        // text is the signature
	failed       // text is the reason
	limited      // the stream was longer than clamd takes; the connection ends
	version      // text is all of it
)

// A reply is one of a session. Its number is that of the command.
type reply struct {
	number uint32
	kind   kind
	text   string
}

// maxReply bounds a reply, in bytes. The names of signatures are what is
// variable in them.
const maxReply = 4096

var errGarbage = errors.New("clamd does not speak its protocol")

// parseReply reads a reply within a session, without its NUL: "3: stream: OK".
// Replies of other commands than INSTREAM and VERSION are faults.
func parseReply(line string) (reply, error) {
	digits, text, numbered := strings.Cut(line, ": ")
	if !numbered || !printable(text) {
		return reply{}, errGarbage
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || n == 0 || digits[0] < '1' || digits[0] > '9' {
		return reply{}, errGarbage
	}
	r := reply{number: uint32(n)}
	r.kind, r.text, err = parseVerdict(text)
	return r, err
}

func parseVerdict(text string) (kind, string, error) {
	if strings.HasPrefix(text, "ClamAV ") {
		return version, text, nil
	}
	if reason, is := strings.CutSuffix(text, " ERROR"); is {
		if strings.HasPrefix(text, "INSTREAM size limit exceeded") {
			return limited, "", nil
		}
		return failed, strings.TrimPrefix(reason, "stream: "), nil
	}
	rest, is := strings.CutPrefix(text, "stream: ")
	if !is {
		return 0, "", errGarbage
	}
	if rest == "OK" {
		return ok, "", nil
	}
	name, is := strings.CutSuffix(rest, " FOUND")
	if !is || name == "" {
		return 0, "", errGarbage
	}
	return found, name, nil
}

// printable reports whether a text can be shown and stored as it is.
func printable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsControl) < 0
}

// notMalware tells the alerts by which clamd says that it did not look at a
// file as a whole, and why.
func notMalware(signature string) (why string, is bool) {
	switch {
	case strings.HasPrefix(signature, "Heuristics.Limits.Exceeded"):
		return fmt.Sprintf("it exceeds a limit of clamd (%s)", signature), true
	case strings.HasPrefix(signature, "Heuristics.Encrypted"):
		return fmt.Sprintf("it is encrypted (%s)", signature), true
	}
	return "", false
}
