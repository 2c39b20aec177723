package sbom_test

import (
	"testing"
)

func TestWrite(t *testing.T) {
	for _, d := range documents(t) {
		writeWhole(t, d, packages())
		writeWhole(t, d, nil)
	}
}
