package sqlstore

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Kinds of columns in a [Table].
const (
	KindInteger = "integer" // int64
	KindReal    = "real"    // float64
	KindText    = "text"
	KindBytes   = "bytes" // base64 (RFC 4648, section 4) in rows
)

// A Table describes the rows of one table, in a form that both dialects read.
type Table struct {
	Name    string   `json:"table"`
	Columns []Column `json:"columns"`
	// NextID is the number that the next row gets where the database counts rows
	// itself, else 0.
	NextID int64 `json:"next_id,omitempty"`
}

// A Column is one of a table's, as rows have them in order.
type Column struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
}

// transient tables are in no snapshot: what they hold is of minutes, or is about
// files that are in no backup and are fetched again.
var transient = map[string]bool{"rate_hits": true, "vulnerability_data": true}

// A definition is a table as the migrations make it.
type definition struct {
	name     string
	identity string // the column that counts rows, or ""
}

var (
	creating = regexp.MustCompile(`(?ms)^CREATE TABLE (\w+) \((.*?)^\)`)
	counting = regexp.MustCompile(`(?m)^\s*(\w+)\s+\{id\}`)
	dropping = regexp.MustCompile(`(?m)^DROP TABLE (\w+)`)
)

// definitions lists the tables that there are after some steps, each behind those
// that it refers to: the order in which they were created.
func definitions(steps []migration) (all []definition) {
	dropped := make(map[string]bool)
	for _, m := range steps {
		for _, found := range creating.FindAllStringSubmatch(m.script, -1) {
			d := definition{name: found[1]}
			if id := counting.FindStringSubmatch(found[2]); id != nil {
				d.identity = id[1]
			}
			all = append(all, d)
		}
		for _, found := range dropping.FindAllStringSubmatch(m.script, -1) {
			dropped[found[1]] = true
		}
	}
	kept := all[:0]
	for _, d := range all {
		if !dropped[d.name] && !transient[d.name] {
			kept = append(kept, d)
		}
	}
	return kept
}

// kindOf returns the kind of a column by its type in either dialect.
func kindOf(databaseType string) (string, error) {
	switch strings.ToUpper(databaseType) {
	case "BIGINT", "INTEGER", "INT8":
		return KindInteger, nil
	case "DOUBLE PRECISION", "FLOAT8":
		return KindReal, nil
	case "TEXT":
		return KindText, nil
	case "BLOB", "BYTEA":
		return KindBytes, nil
	}
	return "", fmt.Errorf("a column of type %q cannot be copied", databaseType)
}

// appendRow renders a row as a JSON array.
func appendRow(b []byte, columns []Column, values []any) ([]byte, error) {
	b = append(b, '[')
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendValue(b, columns[i], v); err != nil {
			return nil, fmt.Errorf("column %s: %w", columns[i].Name, err)
		}
	}
	return append(b, ']'), nil
}

func appendValue(b []byte, c Column, v any) ([]byte, error) {
	if v == nil {
		return append(b, "null"...), nil
	}
	switch v := v.(type) {
	case int64:
		switch c.Kind {
		case KindInteger:
			return strconv.AppendInt(b, v, 10), nil
		case KindReal: // SQLite keeps 2.0 as 2
			return strconv.AppendFloat(b, float64(v), 'g', -1, 64), nil
		}
	case float64:
		if c.Kind == KindReal && !math.IsNaN(v) && !math.IsInf(v, 0) {
			return strconv.AppendFloat(b, v, 'g', -1, 64), nil
		}
	case string:
		if c.Kind == KindText && utf8.ValidString(v) {
			text, err := json.Marshal(v)
			return append(b, text...), err
		}
	case []byte:
		if c.Kind == KindBytes {
			b = append(b, '"')
			b = base64.StdEncoding.AppendEncode(b, v)
			return append(b, '"'), nil
		}
	}
	return nil, fmt.Errorf("%T is no value of kind %s", v, c.Kind)
}

// parseRow reads what appendRow renders.
func parseRow(line []byte, columns []Column) ([]any, error) {
	var raw []json.RawMessage
	if err := json.Unmarshal(line, &raw); err != nil {
		return nil, err
	}
	if len(raw) != len(columns) {
		return nil, fmt.Errorf("a row has %d values for %d columns", len(raw), len(columns))
	}
	values := make([]any, len(raw))
	for i, text := range raw {
		var err error
		if values[i], err = parseValue(text, columns[i].Kind); err != nil {
			return nil, fmt.Errorf("column %s: %w", columns[i].Name, err)
		}
	}
	return values, nil
}

func parseValue(text json.RawMessage, kind string) (any, error) {
	if string(text) == "null" {
		return nil, nil
	}
	switch kind {
	case KindInteger:
		return strconv.ParseInt(string(text), 10, 64)
	case KindReal:
		return strconv.ParseFloat(string(text), 64)
	case KindText:
		var s string
		err := json.Unmarshal(text, &s)
		return s, err
	case KindBytes:
		b := []byte{}
		err := json.Unmarshal(text, &b)
		return b, err
	}
	return nil, fmt.Errorf("unknown kind %q", kind)
}
