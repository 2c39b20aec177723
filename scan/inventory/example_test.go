package inventory_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"

	"github.com/repod-io/repod/deb"
	"github.com/repod-io/repod/deb/debtest"
	"github.com/repod-io/repod/scan"
	"github.com/repod-io/repod/scan/inventory"
)

func Example() {
	file := debtest.Package{Files: map[string]string{
		"opt/app/lib/PyYAML-5.3.dist-info/METADATA":      "Name: PyYAML\nVersion: 5.3\nLicense: MIT\n",
		"opt/app/node_modules/lodash/package.json":       `{"name": "lodash", "version": "4.17.20"}`,
		"opt/app/node_modules/lodash/fp/package.json":    `{"main": "../fp.js"}`,
		"opt/other/lib/pyyaml-5.3-py3.egg-info/PKG-INFO": "Name: pyyaml\nVersion: 5.3\n",
	}}.Build()

	var s inventory.Scanner
	pass, err := s.Begin(context.Background(), scan.Subject{Name: "hello"})
	if err != nil {
		log.Fatal(err)
	}
	_, err = deb.Read(bytes.NewReader(file), &deb.Options{Visit: func(f deb.File, content io.Reader) error {
		w, err := pass.Open(f)
		if w == nil || err != nil {
			return err
		}
		_, err = io.Copy(w, content)
		return errors.Join(err, w.Close())
	}})
	if err != nil {
		pass.Abort()
		log.Fatal(err)
	}
	for _, c := range pass.Finish(nil).Components {
		fmt.Println(c.Ecosystem, c.Name, c.Version, c.Licenses, len(c.Paths))
	}
	// Output:
	// npm lodash 4.17.20 [] 1
	// PyPI pyyaml 5.3 [MIT] 2
}
