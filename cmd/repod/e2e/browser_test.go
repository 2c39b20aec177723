package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// pageLimit is how long a page may take on a loaded machine.
const pageLimit = 40 * time.Second

// A browser is one tab of a Chromium of its own, on the console of a server. It
// keeps what the page complains about: errors of scripts, refused requests and
// violations of the Content-Security-Policy.
type browser struct {
	t    *testing.T
	base string
	ctx  context.Context

	mu       sync.Mutex
	messages []string
}

// newBrowser starts a browser, or skips the test where there is none.
func newBrowser(t *testing.T, base string) *browser {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		lacking(t, "chromium is not installed")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.WSURLReadTimeout(90*time.Second),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true))
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	b := &browser{t: t, base: base, ctx: ctx}
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(1280, 900)); err != nil {
		t.Fatal(err)
	}
	console := chromedp.Console(ctx)
	go func() {
		for m, err := range console {
			if err != nil {
				return
			}
			if m.Type == chromedp.ConsoleError || m.Type == chromedp.ConsoleWarning || m.IsException() {
				b.mu.Lock()
				b.messages = append(b.messages, m.Source+" "+m.Text+" "+m.URL)
				b.mu.Unlock()
			}
		}
	}()
	return b
}

// on returns the same browser for a subtest.
func (b *browser) on(t *testing.T) *browser {
	b.t = t
	return b
}

// complaints returns what the pages have complained about since the last call.
func (b *browser) complaints() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.messages
	b.messages = nil
	return all
}

// quiet fails the test when a page has complained.
func (b *browser) quiet(where string) {
	b.t.Helper()
	for _, m := range b.complaints() {
		b.t.Errorf("%s: the browser says: %s", where, m)
	}
}

func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, pageLimit)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// js evaluates an expression in the page.
func js[T any](b *browser, expression string) (T, error) {
	ctx, cancel := context.WithTimeout(b.ctx, pageLimit)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[T](expression))
}

// until waits for an expression to be true.
func (b *browser) until(expression string) {
	b.t.Helper()
	deadline := time.Now().Add(pageLimit)
	for {
		ok, err := js[bool](b, "Boolean("+expression+")")
		if err == nil && ok {
			return
		}
		if time.Now().After(deadline) {
			b.picture("failed")
			b.t.Fatalf("still not %s (%v); the page at %s says:\n%s", expression, err, b.address(), b.text())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (b *browser) text() string {
	text, _ := js[string](b, "document.body.innerText")
	return text
}

func (b *browser) address() string {
	text, _ := js[string](b, "location.pathname + location.search")
	return text
}

// shows waits for text on the page, in a dialog or in a notice.
func (b *browser) shows(text string) {
	b.t.Helper()
	b.until("document.body.innerText.includes(" + strconv.Quote(text) + ")")
}

// settled waits for a page that has been drawn, with all its parts.
func (b *browser) settled(title string) {
	b.t.Helper()
	heading := ""
	if title != "" {
		heading = "[...document.querySelectorAll('h1')].some((h) => h.textContent.includes(" + strconv.Quote(title) + ")) && "
	}
	b.until(heading + "document.querySelector('h1') && !document.querySelector('#main .busy')")
}

// open goes to a page by its address, as a link in a mail does.
func (b *browser) open(path, title string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.base + path))
	b.settled(title)
}

// top is the dialog that is open, else the page.
const top = `(document.querySelector('dialog[open]') ?? document.body)`

// click presses the button or link that reads so.
func (b *browser) click(text string) {
	b.t.Helper()
	find := fmt.Sprintf(`[...%s.querySelectorAll('button, a, summary')].find((x) => x.textContent.trim() === %q && !x.disabled)`, top, text)
	b.until(find)
	if _, err := js[bool](b, "("+find+".click(), true)"); err != nil {
		b.t.Fatal(err)
	}
}

// fill enters a value into the field with a label.
func (b *browser) fill(label, value string) {
	b.t.Helper()
	field := fmt.Sprintf(`((l) => l && document.getElementById(l.htmlFor))([...%s.querySelectorAll('label')].find((x) => x.firstChild.textContent.trim() === %q))`, top, label)
	b.until(field)
	set := fmt.Sprintf(`((f) => { f.focus(); f.value = %q; f.dispatchEvent(new Event('input', {bubbles: true})); f.dispatchEvent(new Event('change', {bubbles: true})); return f.value; })(%s)`, value, field)
	if got, err := js[string](b, set); err != nil || got != value {
		b.t.Fatalf("field %q has %q: %v", label, got, err)
	}
}

// picture saves the page where REPOD_SCREENSHOTS says, for people to look at.
func (b *browser) picture(name string) {
	dir := os.Getenv("REPOD_SCREENSHOTS")
	if dir == "" {
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, pageLimit)
	defer cancel()
	image, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Log(err)
		return
	}
	name = strings.NewReplacer("/", "_", "?", "_", "=", "_").Replace(name)
	if err := os.WriteFile(filepath.Join(dir, name+".png"), image, 0o644); err != nil {
		b.t.Log(err)
	}
}

// complains waits for the browser's own complaint about an answer with a status,
// which it makes whatever the page does, and fails the test on any other.
func (b *browser) complains(status string) {
	b.t.Helper()
	var all []string
	eventually(b.t, pageLimit, func() error {
		if all = append(all, b.complaints()...); len(all) == 0 {
			return fmt.Errorf("the browser has not complained about %s", status)
		}
		return nil
	})
	for _, m := range all {
		if !strings.HasPrefix(m, "network ") || !strings.Contains(m, status) {
			b.t.Errorf("the browser says, beside %s: %s", status, m)
		}
	}
}
