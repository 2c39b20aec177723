package upstream

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"

	"github.com/repod-io/repod/index"
)

// A memo is what a success leaves in State.Memo for later syncs.
type memo struct {
	// Place, Contents and Keys identify the source's definition then.
	Place    string `json:"place"`
	Contents string `json:"contents"`
	Keys     string `json:"keys"`

	Signers      []string `json:"signers"` // fingerprints
	Head         string   `json:"head"`    // SHA-256 of InRelease, or Release
	ETag         string   `json:"etag,omitempty"`
	LastModified string   `json:"last_modified,omitempty"`
	Detached     bool     `json:"detached,omitempty"` // Release and Release.gpg

	Date       time.Time `json:"date"`
	ValidUntil time.Time `json:"valid_until,omitzero"`
	Origin     string    `json:"origin"`
	Suite      string    `json:"suite"`
	Codename   string    `json:"codename"`

	Indices []memoIndex `json:"indices"` // that the packages come from
}

// A memoIndex is the plain form of a Packages file.
type memoIndex struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

// loadMemo returns the memo of a former success in the same place, or an empty
// one: what an archive elsewhere was proves nothing.
func loadMemo(data []byte, s Source) memo {
	var m memo
	if json.Unmarshal(data, &m) != nil || m.Place != s.place() {
		return memo{}
	}
	return m
}

func (m *memo) encode() []byte {
	data, err := json.Marshal(m)
	if err != nil {
		panic(err) // strings, numbers and dates of four-digit years
	}
	return data
}

// holds reports whether the memo is of a success with the source as it is now,
// and one of the keys that signed then would count today.
func (m *memo) holds(s Source, keys index.Keyring, now time.Time) bool {
	return m.Head != "" && m.Contents == s.contents() && m.Keys == keysDigest(keys) &&
		slices.ContainsFunc(keys, func(k *index.PublicKey) bool {
			end := k.ExpiresAt()
			return slices.Contains(m.Signers, k.Fingerprint()) && (end.IsZero() || now.Before(end))
		})
}

func keysDigest(keys index.Keyring) string {
	sum := sha256.Sum256(keys.Binary())
	return hex.EncodeToString(sum[:8])
}

// find returns the plain file that stood at a path.
func (m *memo) find(path string) (memoIndex, bool) {
	for _, x := range m.Indices {
		if x.Path == path {
			return x, true
		}
	}
	return memoIndex{}, false
}
