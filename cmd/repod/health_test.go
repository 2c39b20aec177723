package main

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

func TestHealth(t *testing.T) {
	status := http.StatusOK
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(map[string]int{"/health/ready": status, "/health/live": http.StatusOK}[r.URL.Path])
		_, _ = w.Write([]byte(`{"storage":"error"}`))
	})
	plain, secure := httptest.NewServer(answer), httptest.NewTLSServer(answer)
	defer plain.Close()
	defer secure.Close()
	_, port, _ := strings.Cut(plain.Listener.Addr().String(), ":")
	ways := map[string]map[string]string{
		"by flag":  {"REPOD_LISTEN": plain.Listener.Addr().String()},
		"any":      {"REPOD_LISTEN": "0.0.0.0:" + port},
		"no host":  {"REPOD_LISTEN": ":" + port},
		"by HTTPS": {"REPOD_LISTEN": secure.Listener.Addr().String(), "REPOD_TLS_CERT_FILE": "x", "REPOD_TLS_KEY_FILE": "x"},
	}
	for name, env := range ways {
		if code, out, errs := invoke(t, env, "health"); code != exitOK || out != "ready\n" {
			t.Errorf("%s: %d %s %s", name, code, out, errs)
		}
	}
	status = http.StatusServiceUnavailable
	for name, env := range ways {
		if code, out, errs := invoke(t, env, "health"); code != exitFailure || out != "" || !strings.Contains(errs, "storage") {
			t.Errorf("%s, not ready: %d %s %s", name, code, out, errs)
		}
		if code, _, errs := invoke(t, env, "health", "--live"); code != exitOK {
			t.Errorf("%s, alive: %d %s", name, code, errs)
		}
	}
	plain.Close()
	if code, _, errs := invoke(t, ways["by flag"], "health"); code != exitFailure || !strings.Contains(errs, "does not answer") {
		t.Errorf("no server: %d %s", code, errs)
	}
	if code, _, _ := invoke(t, nil, "health", "--listen", "nonsense"); code != exitUsage {
		t.Errorf("no address: %d", code)
	}
}

// A server is asked at its socket, too.
func TestHealthSocket(t *testing.T) {
	dir := t.TempDir()
	address := "unix:" + filepath.Join(dir, "s")
	s, err := launch(dir, filepath.Join(dir, "log"), []string{"REPOD_ADMIN_PASSWORD=" + testPassword}, "--listen", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.cmd.Process.Kill() })
	if code, out, errs := invoke(t, nil, "health", "--listen", address); code != exitOK || out != "ready\n" {
		t.Errorf("%d %s %s", code, out, errs)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}
