package e2e

import (
	"fmt"
	"io"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/repod-io/repod/aptrepo/upstream/mirrortest"
	"github.com/repod-io/repod/auth/ldap/slapdtest"
	"github.com/repod-io/repod/deb/debtest"
	"github.com/repod-io/repod/scan/clamav/clamdtest"
)

// examples is the script that runs the examples of the API reference. It is kept
// beside the project.
const examples = "../../../../shared/api/examples.sh"

// reader may look into the directory.
const reader = "dn: cn=reader," + slapdtest.BaseDN + `
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: reader
userPassword: readerpw

`

// TestExamples runs all examples of the API reference, with everything that a
// server can be connected to.
func TestExamples(t *testing.T) {
	slow(t)
	script, err := filepath.Abs(examples)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(script); err != nil {
		t.Skip("the examples of the API reference are not here")
	}
	needPrograms(t, "bash", "curl", "jq")
	dir := t.TempDir()
	mirror := mirrortest.New(t)
	for _, p := range [][2]string{{"nginx", "1.24.0"}, {"mypackage", "1.0.0"}, {"myapp", "2.0.0"}, {"curl", "7.81.0"}, {"openssl", "3.0.2"}} {
		deb := debtest.Package{Name: p[0], Version: p[1], Arch: "amd64"}
		mirror.Add("main", deb)
		writeFile(t, filepath.Join(dir, p[0]+"_"+p[1]+"_amd64.deb"), deb.Build())
	}
	mirror.Publish()
	key := filepath.Join(dir, "mirror.asc")
	writeFile(t, key, []byte(mirror.PublicKey()))
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	t.Cleanup(hook.Close)
	mails := filepath.Join(dir, "mails")
	writeFile(t, mails, nil)
	address := postOffice(t, mails)
	directory := slapdtest.Start(t, reader)
	clamd := clamdtest.Start(t)

	s := serve(t, t.TempDir(), "--outbound", "any", "--public-url", "http://repo.example.com", "--clamav-update-command", "true")
	cmd := exec.CommandContext(t.Context(), "bash", script)
	cmd.Env = append(os.Environ(),
		"REPOD_URL="+s.URL, "REPOD_ADMIN_PASSWORD="+adminPassword, "REPOD_DEB_DIR="+dir,
		"REPOD_TEST_UPSTREAM_URL="+mirror.URL, "REPOD_TEST_UPSTREAM_SUITE="+mirror.Suite, "REPOD_TEST_UPSTREAM_KEY="+key,
		"REPOD_TEST_WEBHOOK_URL="+hook.URL, "REPOD_TEST_WEBHOOK_SECRET=s3cr3t",
		"REPOD_TEST_SMTP_HOST=127.0.0.1", "REPOD_TEST_SMTP_PORT="+strconv.Itoa(address.Port),
		"REPOD_TEST_RESET_TOKEN_COMMAND="+fmt.Sprintf(
			`for i in $(seq 300); do grep -q token= %[1]s && break; sleep 0.1; done; grep -o 'token=[A-Za-z0-9_.-]*' %[1]s | tail -1 | cut -d= -f2`, mails),
		"REPOD_TEST_LDAP_URL="+directory.URL, "REPOD_TEST_LDAP_BASE_DN="+slapdtest.BaseDN,
		"REPOD_TEST_LDAP_BIND_DN=cn=reader,"+slapdtest.BaseDN, "REPOD_TEST_LDAP_BIND_PASSWORD=readerpw",
		"REPOD_TEST_CLAMAV_ADDRESS="+clamd.TCP, "REPOD_TEST_CLAMAV_UPDATE=1",
	)
	out, err := cmd.CombinedOutput()
	text := string(out)
	var wrong []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "FAIL") || strings.Contains(line, "is checked") {
			wrong = append(wrong, line)
		}
	}
	if err != nil || len(wrong) > 0 || !strings.Contains(text, ", 0 failed") {
		t.Errorf("%v\n%s", err, strings.Join(wrong, ""))
	}
	t.Log(strings.TrimSpace(text[strings.LastIndex(strings.TrimSpace(text), "\n")+1:]))
}

// postOffice starts an SMTP server that appends the mails it gets to a file.
func postOffice(t *testing.T, file string) *net.TCPAddr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return letterbox(file), nil }))
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return l.Addr().(*net.TCPAddr)
}

// A letterbox is the name of a file for mails.
type letterbox string

func (letterbox) Reset()                               {}
func (letterbox) Logout() error                        { return nil }
func (letterbox) Mail(string, *smtp.MailOptions) error { return nil }
func (letterbox) Rcpt(string, *smtp.RcptOptions) error { return nil }

func (l letterbox) Data(r io.Reader) error {
	f, err := os.OpenFile(string(l), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(f, quotedprintable.NewReader(r)) // headers have nothing that it changes
	return err
}
