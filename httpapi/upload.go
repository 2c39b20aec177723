package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/auth"
)

const (
	maxField    = 4 << 10  // bytes of a text field
	maxFraming  = 64 << 10 // bytes around the file: boundaries, part headers, other fields
	maxBoundary = 70       // RFC 2046, section 5.1.1
	uploadWait  = 30 * time.Second
)

// A form is an upload that has arrived.
type form struct {
	file         *spoolFile
	distribution string
	component    string
}

// upload receives a package and publishes it.
func (a *api) upload(c *call) error {
	f, err := a.receive(c)
	if err != nil {
		return err
	}
	defer f.file.Close()
	c.w.uploaded = f.file.size
	done, err := a.Repo.Publish(c.detach(), f.file, aptrepo.PublishOptions{
		Distribution: f.distribution, Component: f.component, Ordinary: !c.who.Has(auth.Maintainer),
	})
	if errors.Is(err, aptrepo.ErrBasePackage) {
		return c.lacks(auth.Maintainer, "An essential, protected or required package needs the role %s.")
	}
	if err != nil {
		return err
	}
	status := http.StatusOK
	switch {
	case done.Artifact.Status == aptrepo.PendingReview:
		status = http.StatusAccepted
	case done.New:
		status = http.StatusCreated
		c.w.Header().Set("Location", artifactPath(&done.Artifact))
	}
	return writeJSON(c.w, status, newUploadAnswer(done))
}

func artifactPath(a *aptrepo.Artifact) string {
	return fmt.Sprintf("/artifacts/%s/%s?arch=%s", url.PathEscape(a.Name), url.PathEscape(a.Version), url.QueryEscape(a.Arch))
}

// maxUpload is the size of the largest package taken, in bytes.
func (a *api) maxUpload() int64 { return a.Settings.Current().MaxUploadBytes }

// receive reads the whole body. The file that it returns is the caller's to
// close.
func (a *api) receive(c *call) (*form, error) {
	if err := c.contentType("multipart/form-data"); err != nil {
		return nil, err
	}
	limit := a.maxUpload() + maxFraming
	if c.ContentLength > limit {
		return nil, a.tooLarge()
	}
	_, params, _ := mime.ParseMediaType(c.Header.Get("Content-Type"))
	if n := len(params["boundary"]); n < 1 || n > maxBoundary {
		return nil, newProblem(http.StatusUnprocessableEntity, "unsupported_content_type", "The multipart boundary must have 1 to %d characters.", maxBoundary)
	}
	wait, cancel := context.WithTimeout(c.Context(), uploadWait)
	defer cancel()
	leave, err := a.receiving.enter(wait, c.who.Name)
	if err != nil {
		return nil, newProblem(http.StatusTooManyRequests, "rate_limited", "Too many uploads are under way.").retry(uploadWait)
	}
	defer leave()
	in := &framing{r: http.MaxBytesReader(c.w, a.progress(c, c.Body), limit)}
	f := &form{component: "main"}
	err = a.readParts(in, multipart.NewReader(in, params["boundary"]), f)
	if err == nil {
		// What stands behind the last part must not, in the end, look to
		// net/http as if the client had stopped sending.
		_, err = io.Copy(io.Discard, in)
	}
	if err == nil {
		err = f.check()
	}
	if err != nil {
		f.file.Close()
		return nil, a.bodyError(err)
	}
	return f, nil
}

func (a *api) tooLarge() error {
	p := newProblem(http.StatusRequestEntityTooLarge, "upload_too_large", "A package has at most %d bytes.", a.maxUpload())
	p.MaxBytes = a.maxUpload()
	return p
}

// bodyError says what a failure to read the body is.
func (a *api) bodyError(err error) error {
	var p *problem
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &p), errors.Is(err, aptrepo.ErrFull), errors.Is(err, errSpool):
		return err
	case errors.As(err, &tooLarge):
		return a.tooLarge()
	case errors.Is(err, errTooSlow):
		return invalid(fault{"body", "must arrive at 16 KiB/s or more"})
	case errors.Is(err, errFraming):
		return invalid(fault{"body", fmt.Sprintf("must not have more than %d bytes beside the file", maxFraming)})
	}
	return invalid(fault{"body", "must be complete and well-formed multipart/form-data"})
}

// readParts reads the parts into f: three at most, since each has a name that
// is known and not repeated. Whatever it returns, f.file is to be closed.
func (a *api) readParts(in *framing, parts *multipart.Reader, f *form) error {
	seen := map[string]bool{}
	for {
		part, err := parts.NextRawPart()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		name := part.FormName()
		if seen[name] {
			return invalid(fault{name, "must be given once"})
		}
		seen[name] = true
		switch name {
		case "file":
			in.file = true
			f.file, err = a.spool(part)
			in.file = false
		case "distribution":
			f.distribution, err = readField(name, part)
		case "component":
			f.component, err = readField(name, part)
		default:
			err = invalid(fault{clip(strings.ToValidUTF8(name, "?")), "is not a known part"})
		}
		if err != nil {
			return err
		}
	}
}

func readField(name string, part io.Reader) (string, error) {
	data, err := io.ReadAll(io.LimitReader(part, maxField+1))
	switch s := string(data); {
	case err != nil:
		return "", err
	case len(data) > maxField:
		return "", invalid(fault{name, fmt.Sprintf("must have at most %d bytes", maxField)})
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl):
		return "", invalid(fault{name, "must be one line of text in UTF-8"})
	default:
		return s, nil
	}
}

// namePattern takes in every codename and component, and nothing that could
// be a path.
var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

const nameRule = "must be at most 64 lower-case letters, digits, '.', '-' and '_', the first a letter or digit"

// check finds what is missing.
func (f *form) check() error {
	var faults []fault
	switch {
	case f.file == nil:
		faults = append(faults, fault{"file", "is required"})
	case f.file.size == 0:
		faults = append(faults, fault{"file", "must not be empty"})
	}
	if f.distribution == "" {
		faults = append(faults, fault{"distribution", "is required"})
	} else if !namePattern.MatchString(f.distribution) {
		faults = append(faults, fault{"distribution", nameRule})
	}
	if !namePattern.MatchString(f.component) {
		faults = append(faults, fault{"component", nameRule})
	}
	if len(faults) > 0 {
		return invalid(faults...)
	}
	return nil
}

// framing bounds what surrounds the file: package mime/multipart would take
// part headers of 10 MB, and any number of lines before the first part.
type framing struct {
	r    io.Reader
	file bool // the file is being read; that is bounded elsewhere
	read int
}

var errFraming = errors.New("too much around the file")

func (f *framing) Read(p []byte) (int, error) {
	if f.file {
		return f.r.Read(p)
	}
	if f.read >= maxFraming {
		return 0, errFraming
	}
	n, err := f.r.Read(p[:min(len(p), maxFraming-f.read)])
	f.read += n
	return n, err
}
