package sbom_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/repod-io/repod/sbom"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// The official JSON schemas are no part of the repository. Those of CycloneDX come
// with the library's module. That of SPDX is looked for in the directory that
// REPOD_SCHEMAS names, or else in shared/schemas above the repository: files
// cyclonedx/bom-1.6.schema.json, spdx/spdx-2.3.schema.json and so on.

var (
	schemas     = map[string]*jsonschema.Schema{}
	schemasLock sync.Mutex
)

// validate holds a document to the official schema of its format.
func validate(tb testing.TB, doc sbom.Document, text []byte) {
	tb.Helper()
	if err := validateText(doc, text); err != nil {
		tb.Fatalf("%v\n%s", err, text)
	}
}

// validateText is validate without a test. Where there is no schema, every JSON is
// valid: TestSchemas tells.
func validateText(doc sbom.Document, text []byte) error {
	version := doc.SpecVersion
	if version == "" {
		version = sbom.Versions(doc.Format)[0]
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("no JSON: %w", err)
	}
	schema, err := schemaOf(doc.Format, version)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := schema.Validate(value); err != nil {
		return fmt.Errorf("invalid under the schema of %s %s: %w", doc.Format, version, err)
	}
	return nil
}

// TestSchemas says which schemas the other tests have, so that nobody takes them
// for more than they are.
func TestSchemas(t *testing.T) {
	for _, f := range []sbom.Format{sbom.CycloneDX, sbom.SPDX} {
		for _, version := range sbom.Versions(f) {
			t.Run(fmt.Sprintf("%s %s", f, version), func(t *testing.T) {
				schema, err := schemaOf(f, version)
				if errors.Is(err, os.ErrNotExist) {
					t.Skipf("no test holds documents to this schema, because there is no copy of it here: %v", err)
				}
				if err != nil {
					t.Fatal(err)
				}
				if schema.Validate(map[string]any{"bomFormat": 1, "SPDXID": 1}) == nil {
					t.Error("the schema allows everything")
				}
			})
		}
	}
}

func schemaOf(f sbom.Format, version string) (*jsonschema.Schema, error) {
	schemasLock.Lock()
	defer schemasLock.Unlock()
	key := string(f) + version
	if schemas[key] != nil {
		return schemas[key], nil
	}
	file := filepath.Join("spdx", "spdx-"+version+".schema.json")
	if f == sbom.CycloneDX {
		file = filepath.Join("cyclonedx", "bom-"+version+".schema.json")
	}
	name, err := schemaFile(file)
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	c.UseLoader(siblings(filepath.Dir(name)))
	schema, err := c.Compile("http://schemas.invalid/" + filepath.Base(name))
	if err == nil {
		schemas[key] = schema
	}
	return schema, err
}

// siblings loads the schemas that others refer to from a directory.
type siblings string

func (dir siblings) Load(url string) (any, error) {
	name := filepath.Join(string(dir), path.Base(url))
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) { // the module's copies have another ending
		f, err = os.Open(strings.TrimSuffix(name, ".json") + "x.json")
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return jsonschema.UnmarshalJSON(f)
}

// schemaFile finds a schema.
func schemaFile(name string) (string, error) {
	dirs := []string{os.Getenv("REPOD_SCHEMAS")}
	if dirs[0] == "" {
		dirs = aboveHere(filepath.Join("shared", "schemas"))
	}
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return filepath.Join(dir, name), nil
		}
	}
	if dir := moduleDir(); dir != "" && strings.HasPrefix(name, "cyclonedx") {
		name = filepath.Join(dir, "schema", filepath.Base(name))
		_, err := os.Stat(name)
		return name, err
	}
	return "", fmt.Errorf("%s: %w", name, os.ErrNotExist)
}

// aboveHere returns the places where a directory may be: in the one of the
// package, or in one above.
func aboveHere(name string) []string {
	var dirs []string
	dir, err := os.Getwd()
	for err == nil && dir != filepath.Dir(dir) {
		dirs = append(dirs, filepath.Join(dir, name))
		dir = filepath.Dir(dir)
	}
	return dirs
}

// moduleDir returns where the module of cyclonedx-go lies, "" if it is not there.
var moduleDir = sync.OnceValue(func() string {
	cmd := exec.Command("go", "list", "-m", "-json", "github.com/CycloneDX/cyclonedx-go")
	cmd.Env = append(os.Environ(), "GOPROXY=off")
	out, err := cmd.Output()
	var module struct{ Dir string }
	if err != nil || json.Unmarshal(out, &module) != nil {
		return ""
	}
	return module.Dir
})
