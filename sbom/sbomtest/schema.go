package sbomtest

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

	"github.com/repod-io/repod/sbom"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// ErrNoSchema: there is no copy of a format's schema here.
var ErrNoSchema = errors.New("there is no copy of the schema")

// Validate holds a document to the official JSON schema of its format and version.
// Schemas of CycloneDX come with the library's module, if the go command is there
// to say where that lies. Others are looked for in the directory that the
// environment variable REPOD_SCHEMAS names, or else in shared/schemas in the
// present directory or above it: files cyclonedx/bom-1.6.schema.json,
// spdx/spdx-2.3.schema.json and so on. Without one the error is ErrNoSchema.
func Validate(doc []byte) error {
	var head struct {
		BOMFormat   string `json:"bomFormat"`
		SpecVersion string `json:"specVersion"`
		SPDXVersion string `json:"spdxVersion"`
	}
	if err := json.Unmarshal(doc, &head); err != nil {
		return fmt.Errorf("no JSON: %w", err)
	}
	format, version := sbom.CycloneDX, head.SpecVersion
	if head.BOMFormat == "" {
		format, version = sbom.SPDX, strings.TrimPrefix(head.SPDXVersion, "SPDX-")
	}
	schema, err := schemaOf(format, version)
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(doc))
	if err != nil {
		return fmt.Errorf("no JSON: %w", err)
	}
	if err := schema.Validate(value); err != nil {
		return fmt.Errorf("invalid under the schema of %s %s: %w", format, version, err)
	}
	return nil
}

var (
	schemas     = map[string]*jsonschema.Schema{}
	schemasLock sync.Mutex
)

// schemaOf returns the schema of a version of a format, compiled once.
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
		file := filepath.Join(dir, "schema", filepath.Base(name))
		if _, err := os.Stat(file); err == nil {
			return file, nil
		}
	}
	return "", fmt.Errorf("%w: %s", ErrNoSchema, name)
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
