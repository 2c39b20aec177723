package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/httptest"
	netmail "net/mail"
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo/outbound"
)

var delivery = Delivery{
	ID: "3f0c1b1e-7d5f-4a3e-9a57-0d6c2f8e4b11", Event: "package.indexed", Attempt: 3,
	Body: []byte(`{"id":"3f0c1b1e-7d5f-4a3e-9a57-0d6c2f8e4b11","n":"ä<&>\u0000"}`), Text: "tool 1.0 is in jammy",
}

// receiver answers with h, and returns the URL of a hook with a key in it.
func receiver(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body) // only then the server sees that the client goes away
		if err != nil {
			t.Error(err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		h(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL + "/k3y/hook?token=t0ken"
}

func TestPost(t *testing.T) {
	at := time.Unix(1_778_580_003, 999)
	p := &Poster{Now: func() time.Time { return at }}
	for _, secret := range []string{"", "s3cr3t"} {
		var got *http.Request
		var body []byte
		url := receiver(t, func(w http.ResponseWriter, r *http.Request) {
			got = r
			body, _ = io.ReadAll(r.Body)
			w.WriteHeader(http.StatusNoContent)
		})
		status, err := p.Post(t.Context(), Webhook{URL: url, Secret: secret}, delivery)
		if err != nil || status != 204 {
			t.Fatal(status, err)
		}
		want := map[string]string{
			"Content-Type": "application/json", "User-Agent": "repod", "X-Repod-Event": "package.indexed",
			"X-Repod-Delivery": delivery.ID, "X-Repod-Attempt": "3", "X-Repod-Timestamp": "1778580003", "Accept-Encoding": "",
		}
		if secret != "" { // as a receiver does it
			mac := hmac.New(sha256.New, []byte("s3cr3t"))
			fmt.Fprintf(mac, "%s.%s", got.Header.Get("X-Repod-Timestamp"), body)
			want["X-Repod-Signature"] = "sha256=" + hex.EncodeToString(mac.Sum(nil))
		} else if _, signed := got.Header["X-Repod-Signature"]; signed {
			t.Error("signed without a secret")
		}
		for name, value := range want {
			if got.Header.Get(name) != value {
				t.Errorf("%s: %q, want %q", name, got.Header.Get(name), value)
			}
		}
		if got.Method != "POST" || string(body) != string(delivery.Body) || got.ContentLength != int64(len(delivery.Body)) {
			t.Errorf("%s %q", got.Method, body)
		}
	}
}

// A vector made with openssl dgst -sha256 -hmac.
func TestSignature(t *testing.T) {
	const want = "sha256=da699006b5794eabe9128a7bff7cf2305287d9039df530a5f4ca7ae00eba950c"
	if got := Signature("key", "1778580003", []byte(`{"a":1}`)); got != want {
		t.Errorf("got %s", got)
	}
}

func TestPostFails(t *testing.T) {
	elsewhere := 0
	other := receiver(t, func(http.ResponseWriter, *http.Request) { elsewhere++ })
	answer := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", other)
			w.WriteHeader(status)
			fmt.Fprint(w, "the body says s3cr3t")
		}
	}
	for _, tt := range []struct {
		name          string
		answer        http.HandlerFunc
		status        int
		timeout, gone bool
		text          string
	}{
		{"moved", answer(302), 302, false, false, "status 302"},
		{"moved for good", answer(308), 308, false, false, "status 308"},
		{"not modified", answer(304), 304, false, false, "status 304"},
		{"gone", answer(410), 410, false, true, "status 410"},
		{"broken", answer(500), 500, false, false, "status 500"},
		{"busy", answer(429), 429, false, false, "status 429"},
		{"silent", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, 0, true, false, "did not answer within 200ms"},
		{"cut off", func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }, 0, false, false, "broke"},
		{"flood of header fields", func(w http.ResponseWriter, _ *http.Request) {
			for i := range 100 {
				w.Header().Set(fmt.Sprint("X-", i), strings.Repeat("s3cr3t", 1000))
			}
		}, 0, false, false, "broke"},
		{"another protocol", func(w http.ResponseWriter, _ *http.Request) {
			conn, _, _ := w.(http.Hijacker).Hijack()
			fmt.Fprint(conn, "SSH-2.0-s3cr3t\r\n")
			conn.Close()
		}, 0, false, false, "not HTTP"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, err := new(Poster).Post(t.Context(), Webhook{URL: receiver(t, tt.answer), Secret: "s3cr3t", Timeout: 200 * time.Millisecond}, delivery)
			var e *WebhookError
			if !errors.As(err, &e) || status != tt.status || e.Status != tt.status || e.Timeout() != tt.timeout || e.Gone() != tt.gone {
				t.Fatalf("status %d, error %#v", status, err)
			}
			if !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %q", err)
			}
			noSecrets(t, err)
		})
	}
	if elsewhere > 0 {
		t.Error("a redirect was followed")
	}
}

// noSecrets fails if an error tells the key in the URL, the secret, or what the
// receiver sent.
func noSecrets(t *testing.T, err error) {
	t.Helper()
	for e := err; e != nil; e = errors.Unwrap(e) {
		if text := fmt.Sprintf("%v %+v %s", e, e, e); strings.Contains(text, "k3y") || strings.Contains(text, "t0ken") || strings.Contains(text, "s3cr3t") {
			t.Errorf("the error says %q", text)
		}
	}
}

// An attempt ends in its time, and reads no more than it needs, whatever comes.
func TestPostBounded(t *testing.T) {
	sent := make(chan int, 1)
	endless := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		n := 0
		for r.Context().Err() == nil && n < 1<<30 {
			m, err := w.Write(make([]byte, 1<<16))
			if n += m; err != nil {
				break
			}
		}
		sent <- n
	})
	if _, err := new(Poster).Post(t.Context(), Webhook{URL: endless}, delivery); err != nil {
		t.Error(err)
	}
	if n := <-sent; n > 32<<20 { // what lies in the buffers of sockets
		t.Errorf("%d bytes were taken", n)
	}
	slow := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			fmt.Fprint(w, "x")
			w.(http.Flusher).Flush()
			time.Sleep(10 * time.Millisecond)
		}
	})
	begun := time.Now()
	if _, err := new(Poster).Post(t.Context(), Webhook{URL: slow, Timeout: 300 * time.Millisecond}, delivery); err != nil {
		t.Errorf("2xx in time, then a slow body: %v", err)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := new(Poster).Post(ctx, Webhook{URL: slow}, delivery); !errors.Is(err, context.Canceled) || errors.As(err, new(*WebhookError)) {
		t.Errorf("the caller's end: %v", err)
	}
}

// Where the policy for outgoing connections does not lead, nothing is posted: by
// number, by name, by a name that has changed its address, or by a redirect.
func TestPostForbidden(t *testing.T) {
	hits := 0
	inner := receiver(t, func(http.ResponseWriter, *http.Request) { hits++ })
	port := strings.Split(strings.TrimPrefix(inner, "http://"), "/")[0]
	_, port, _ = net.SplitHostPort(port)
	p := &Poster{Dial: outbound.Private.DialContext}
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "169.254.169.254", "[fd00:ec2::254]"} {
		status, err := p.Post(t.Context(), Webhook{URL: "http://" + host + ":" + port + "/k3y", Timeout: 5 * time.Second}, delivery)
		if status != 0 || !errors.Is(err, outbound.ErrRefused) {
			t.Errorf("%s: %d, %v", host, status, err)
		}
		noSecrets(t, err)
	}
	// A name with a good address at the first look, and a bad one at the next: each
	// attempt dials anew once the connection is gone.
	looks := 0
	rebound := &Poster{Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		if looks++; looks == 1 {
			return outbound.Any.DialContext(ctx, network, "127.0.0.1:"+port)
		}
		return outbound.Private.DialContext(ctx, network, "127.0.0.1:"+port)
	}}
	if _, err := rebound.Post(t.Context(), Webhook{URL: "http://hook.example.com/"}, delivery); err != nil || hits != 1 {
		t.Fatal(err, hits)
	}
	rebound.client.CloseIdleConnections()
	if _, err := rebound.Post(t.Context(), Webhook{URL: "http://hook.example.com/"}, delivery); !errors.Is(err, outbound.ErrRefused) {
		t.Error(err)
	}
	if _, err := p.Post(t.Context(), Webhook{URL: "http://hook.invalid/k3y", Timeout: 5 * time.Second}, delivery); err == nil {
		t.Error("there is a host hook.invalid")
	} else {
		noSecrets(t, err)
	}
	if hits != 1 {
		t.Errorf("%d requests came", hits)
	}
	if p.client.Transport.(*http.Transport).Proxy != nil {
		t.Error("proxies of the environment are used")
	}
}

func TestFormats(t *testing.T) {
	d := delivery
	d.Text = `<!channel> @all [x](http://evil) & "q" ![p](u)`
	for _, tt := range []struct{ format, url, want string }{
		{FormatJSON, "https://hooks.slack.com/services/x", string(d.Body)},
		{FormatAuto, "https://hook.example.com/hooks.slack.com", string(d.Body)},
		{"", "https://hooks.slack.com.example.com/", string(d.Body)},
		{FormatAuto, "https://Hooks.Slack.com/services/x", "&lt;!channel&gt; @all [x](http://evil) &amp; \"q\" ![p](u)"},
		{FormatSlack, "https://x/", "&lt;!channel&gt; @all [x](http://evil) &amp; \"q\" ![p](u)"},
		{FormatMattermost, "https://x/", "\\<\\!channel\\> @\u200ball \\[x\\]\\(http://evil\\) & \"q\" \\!\\[p\\]\\(u\\)"},
		{FormatAuto, "https://acme.webhook.office.com/webhookb2/x", d.Text},
		{FormatTeams, "https://x/", d.Text},
	} {
		body, err := Webhook{URL: tt.url, Format: tt.format}.body(d)
		if err != nil {
			t.Fatal(err)
		}
		var in struct {
			Text        string
			Attachments []struct {
				ContentType string
				Content     struct {
					Type string
					Body []struct {
						Type    string
						Inlines []struct{ Type, Text string }
					}
				}
			}
		}
		if err := json.Unmarshal(body, &in); err != nil {
			t.Fatal(err)
		}
		got := string(body)
		if in.Text != "" {
			got = in.Text
		}
		if len(in.Attachments) == 1 && in.Attachments[0].Content.Type == "AdaptiveCard" &&
			in.Attachments[0].ContentType == "application/vnd.microsoft.card.adaptive" && in.Attachments[0].Content.Body[0].Type == "RichTextBlock" {
			got = in.Attachments[0].Content.Body[0].Inlines[0].Text
		}
		if got != tt.want {
			t.Errorf("%s for %s:\n got %s\nwant %s", tt.format, tt.url, got, tt.want)
		}
	}
	if _, err := new(Poster).Post(t.Context(), Webhook{URL: "http://x/", Format: "xml"}, d); err == nil {
		t.Error("an unknown format was posted")
	}
}

func TestPauses(t *testing.T) {
	want := "[10s 1m0s 5m0s 30m0s 2h0m0s 2h0m0s 2h0m0s 2h0m0s 2h0m0s]"
	if got := fmt.Sprint(WebhookRetry()); got != want {
		t.Errorf("pauses are %s", got)
	}
	if got := fmt.Sprint(Jitter(10*time.Second, 0), Jitter(10*time.Second, 0.5), Jitter(2*time.Hour, 0.999)); got != "10s 10.5s 2h11m59.28s" {
		t.Errorf("with a random part: %s", got)
	}
}

func TestNotice(t *testing.T) {
	m, err := Notice{
		To: "ops@example.com", Subject: "tool 1.0\r\nBcc: x@example.com\u2028waits" + strings.Repeat(" for review", 30),
		Facts: []Fact{{"Comment", "<b>fine</b>\n\nInjected: yes"}}, Link: "https://repo.example.com/ui/",
	}.Mail()
	if err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(m.Subject, "\r\n\u2028") || !strings.HasPrefix(m.Subject, "[repod] tool 1.0 Bcc: x@example.com waits for review") || len([]rune(m.Subject)) > 160 {
		t.Errorf("subject %q", m.Subject)
	}
	if !strings.Contains(m.Text, "\nComment: <b>fine</b> Injected: yes\n") || !strings.Contains(m.Text, "\nhttps://repo.example.com/ui/\n") {
		t.Errorf("text\n%s", m.Text)
	}
	if strings.Contains(m.HTML, "<b>") || !strings.Contains(m.HTML, "&lt;b&gt;") {
		t.Errorf("page\n%s", m.HTML)
	}
	s := newServer(t, NoTLS)
	if err := s.mailer(s.settings(NoTLS)).Send(t.Context(), m); err != nil || len(s.mails) != 1 {
		t.Fatal(err, len(s.mails))
	}
	sent, err := netmail.ReadMessage(bytes.NewReader(s.mails[0]))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(sent.Header.Get("Subject"))
	if err != nil || subject != m.Subject || sent.Header.Get("Bcc") != "" {
		t.Errorf("%v, header %v", err, sent.Header)
	}
}
