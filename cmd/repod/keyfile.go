package main

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// secretKeySize is the length of the server's secret key in bytes.
const secretKeySize = 32

// parseSecretKey reads a key written in base64, with or without padding.
func parseSecretKey(text string) ([]byte, error) {
	text = strings.TrimRight(strings.TrimSpace(text), "=")
	key, err := base64.RawStdEncoding.Strict().DecodeString(text)
	if err != nil || len(key) != secretKeySize {
		return nil, errors.New("the secret key must be 32 random bytes in base64: make one with openssl rand -base64 32")
	}
	return key, nil
}

// storedSecretKey returns the key kept in a file, which it makes when it does
// not exist. When two processes do that at once, both get the same key.
func storedSecretKey(path string, random io.Reader) ([]byte, error) {
	key, err := readSecretKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if err := writeSecretKey(path, random); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("making a secret key: %w", err)
	}
	return readSecretKey(path)
}

func readSecretKey(path string) ([]byte, error) {
	if err := guarded(path, 0o077); err != nil {
		return nil, err
	}
	text, err := readSecret(path)
	if err != nil {
		return nil, err
	}
	key, err := parseSecretKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

// writeSecretKey makes a key file, whole or not at all; fs.ErrExist when there
// is one.
func writeSecretKey(path string, random io.Reader) (err error) {
	if random == nil {
		random = rand.Reader
	}
	key := make([]byte, secretKeySize)
	if _, err := io.ReadFull(random, key); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".key-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(base64.StdEncoding.EncodeToString(key) + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
