package main

import (
	"os"
	"strings"
	"testing"
)

// Every command says what it does, and nothing else is in the help.
func TestHelpNamesAllCommands(t *testing.T) {
	_, stdout, _ := invoke(t, nil, "--help")
	for _, c := range (&program{env: os.Getenv}).rootCommand().Commands() {
		if c.Short == "" || !strings.Contains(stdout, c.Short) {
			t.Errorf("%s: %q is not in the help", c.Name(), c.Short)
		}
		if c.HasSubCommands() || c.Name() == "help" {
			continue
		}
		if status, help, _ := invoke(t, nil, c.Name(), "--help"); status != 0 || len(help) < 100 {
			t.Errorf("%s --help: status %d: %q", c.Name(), status, help)
		}
	}
}
