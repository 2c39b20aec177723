package sqlstore

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/scan"
)

// maxComponents is how much the components of one artifact may take up, in
// bytes of JSON.
const maxComponents = 64 << 20

// A storedComponent gives the fields of a component their names in the database,
// which do not change when those of the program do.
type storedComponent struct {
	Ecosystem string   `json:"ecosystem,omitempty"`
	Name      string   `json:"name,omitempty"`
	Version   string   `json:"version,omitempty"`
	PURL      string   `json:"purl,omitempty"`
	Paths     []string `json:"paths,omitempty"`
	Licenses  []string `json:"licenses,omitempty"`
}

// packer compresses; it may be used by many at once.
var packer = sync.OnceValues(func() (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(1<<20))
})

// unpacker does the reverse.
var unpacker = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxComponents))
})

func packComponents(components []scan.Component) ([]byte, error) {
	stored := make([]storedComponent, len(components))
	for i, c := range components {
		stored[i] = storedComponent(c)
	}
	text, err := json.Marshal(stored)
	if err != nil {
		return nil, fmt.Errorf("packing components: %w", err)
	}
	if len(text) > maxComponents {
		return nil, &aptrepo.FieldError{Field: "components", Message: fmt.Sprintf("must not take up more than %d bytes", maxComponents)}
	}
	enc, err := packer()
	if err != nil {
		return nil, fmt.Errorf("packing components: %w", err)
	}
	return enc.EncodeAll(text, nil), nil
}

// unpackComponents reads what packComponents made; nil holds none.
func unpackComponents(packed []byte) ([]scan.Component, error) {
	if packed == nil {
		return nil, nil
	}
	dec, err := unpacker()
	if err != nil {
		return nil, fmt.Errorf("unpacking components: %w", err)
	}
	text, err := dec.DecodeAll(packed, nil)
	if err != nil {
		return nil, fmt.Errorf("unpacking components: %w", err)
	}
	var stored []storedComponent
	if err := json.Unmarshal(text, &stored); err != nil {
		return nil, fmt.Errorf("unpacking components: %w", err)
	}
	components := make([]scan.Component, len(stored))
	for i, c := range stored {
		components[i] = scan.Component(c)
	}
	return components, nil
}

// componentsOf reads the components of artifacts, packed.
func componentsOf(q querier, ids []int64) (map[int64][]byte, error) {
	byID := make(map[int64][]byte)
	err := each(q, "SELECT artifact_id, components FROM scan_components WHERE artifact_id IN (SELECT value FROM {ids})",
		[]any{list(ids)}, func(rows *sql.Rows) error {
			var id int64
			var packed []byte
			err := rows.Scan(&id, &packed)
			byID[id] = packed
			return err
		})
	return byID, err
}

func (t *tx) replaceComponents(id int64, components []scan.Component) error {
	if len(components) == 0 {
		_, err := t.exec("DELETE FROM scan_components WHERE artifact_id = ?", id)
		return err
	}
	packed, err := packComponents(components)
	if err != nil {
		return err
	}
	_, err = t.exec(`INSERT INTO scan_components (artifact_id, components) VALUES (?, ?)
		ON CONFLICT (artifact_id) DO UPDATE SET components = excluded.components`, id, packed)
	return err
}
