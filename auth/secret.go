package auth

import (
	"fmt"
	"log/slog"
)

// A Secret is text that must not be shown: a password hash, a token. Printing,
// logging or marshalling one gives "[redacted]", also within other values;
// string(s) reveals it. Two things escape it: a verb of package fmt that does
// not fit a pointer to a struct, and encoding/json for keys of maps.
type Secret string

const redacted = "[redacted]"

// Format writes "[redacted]" for every verb.
func (Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

// String returns "[redacted]".
func (Secret) String() string { return redacted }

// GoString returns "[redacted]".
func (Secret) GoString() string { return redacted }

// LogValue returns "[redacted]".
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[redacted]", also for encoding/json.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
