package s3_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo/storage/s3"
)

// fake returns a bucket at a store that is not what it should be.
func fake(t *testing.T, store http.HandlerFunc) *s3.Bucket {
	t.Helper()
	srv := httptest.NewServer(store)
	t.Cleanup(srv.Close)
	return open(t, s3.Config{
		Endpoint: srv.URL, Bucket: "bucket", PathStyle: true, AccessKeyID: "id", SecretAccessKey: "secret",
	}).Hasty()
}

const fakeBody = "0123456789"

// careless serves fakeBody and looks at no condition.
func careless(etag string, header func(http.Header)) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
		if etag != "" {
			w.Header().Set("ETag", etag)
		}
		header(w.Header())
		_, _ = io.WriteString(w, fakeBody)
	}
}

// A store that sends something else than was asked for is not believed.
func TestReadCarelessStore(t *testing.T) {
	n := 0
	for name, tt := range map[string]struct {
		store http.HandlerFunc
		is    error
	}{
		"ignores the range": {careless(`"e"`, func(http.Header) {}), nil},
		"other range": {careless(`"e"`, func(h http.Header) {
			h.Set("Content-Range", "bytes 2-9/10")
		}), nil},
		"other size": {careless(`"e"`, func(h http.Header) {
			h.Set("Content-Range", "bytes 3-9/11")
		}), nil},
		"ignores If-Match": {careless("", func(h http.Header) {
			n++
			h.Set("ETag", fmt.Sprintf(`"%d"`, n))
			h.Set("Content-Range", "bytes 3-9/10")
		}), s3.ErrReplaced},
		"no ETag": {careless("", func(http.Header) {}), nil},
	} {
		t.Run(name, func(t *testing.T) {
			r, info, err := fake(t, tt.store).Open(t.Context(), "k")
			must(t, err)
			defer r.Close()
			if info.Size != int64(len(fakeBody)) {
				t.Errorf("size %d", info.Size)
			}
			_, err = r.(io.Seeker).Seek(3, io.SeekStart)
			must(t, err)
			got, err := io.ReadAll(r)
			if err == nil || len(got) > 0 || tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("read %q, %v", got, err)
			}
		})
	}
}

func TestReadWithoutLength(t *testing.T) {
	b := fake(t, careless(`"e"`, func(h http.Header) { h.Set("Transfer-Encoding", "chunked") }))
	if _, _, err := b.Open(t.Context(), "k"); err == nil || !strings.Contains(err.Error(), "how long") {
		t.Errorf("%v", err)
	}
}

func listing(keys ...string) string {
	var s strings.Builder
	s.WriteString("<ListBucketResult><IsTruncated>false</IsTruncated>")
	for _, k := range keys {
		fmt.Fprintf(&s, "<Contents><Key>%s</Key><LastModified>2026-01-01T00:00:00.123Z</LastModified><Size>1</Size></Contents>", k)
	}
	s.WriteString("</ListBucketResult>")
	return s.String()
}

// What sweeps files compares lists: one out of order would make it delete
// what is in use.
func TestListOutOfOrder(t *testing.T) {
	for _, keys := range [][]string{{"b", "a"}, {"a", "a"}, {"a/b", "a-b"}} {
		b := fake(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/xml")
			_, _ = io.WriteString(w, listing(keys...))
		})
		var last error
		n := 0
		for _, err := range b.List(t.Context(), "") {
			last = err
			n++
		}
		if last == nil || n != 2 {
			t.Errorf("%q: %d elements, the last with error %v", keys, n, last)
		}
	}
}

// A store that does not know conditional writes is refused.
func TestProbeCarelessStore(t *testing.T) {
	var file string
	deleted := false
	b := fake(t, func(w http.ResponseWriter, req *http.Request) {
		switch req.Method {
		case http.MethodPut:
			text, _ := io.ReadAll(req.Body)
			file = string(text)
		case http.MethodDelete:
			deleted = true
			w.WriteHeader(http.StatusNoContent)
		}
	})
	err := b.Probe(t.Context())
	if err == nil || !strings.Contains(err.Error(), "If-None-Match") || !deleted || file != "2" {
		t.Errorf("error %v, deleted: %v, the file holds %q", err, deleted, file)
	}
}

// An upload began long ago and is still worked at: its last part, on the second
// page of parts, is new. Not every store takes that for its beginning.
func TestCleanTempSparesSlowUploads(t *testing.T) {
	const upload = "<Upload><Key>%s</Key><UploadId>%s</UploadId><Initiated>2026-01-01T00:00:00.000Z</Initiated></Upload>"
	const part = "<ListPartsResult><IsTruncated>%v</IsTruncated><NextPartNumberMarker>1</NextPartNumberMarker>" +
		"<Part><PartNumber>1</PartNumber><LastModified>%s</LastModified><Size>1</Size></Part></ListPartsResult>"
	var aborted []string
	b := fake(t, func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "application/xml")
		q := req.URL.Query()
		switch {
		case q.Has("uploads"):
			fmt.Fprintf(w, "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>"+upload+upload+"</ListMultipartUploadsResult>",
				"slow", "slow", "dead", "dead")
		case req.Method == http.MethodDelete:
			aborted = append(aborted, q.Get("uploadId"))
			w.WriteHeader(http.StatusNoContent)
		case q.Get("part-number-marker") == "1" && q.Get("uploadId") == "slow":
			fmt.Fprintf(w, part, false, "2026-01-01T10:00:00.000Z")
		default:
			fmt.Fprintf(w, part, q.Get("uploadId") == "slow", "2026-01-01T00:00:01.000Z")
		}
	})
	n, err := b.CleanTemp(t.Context(), time.Date(2026, 1, 1, 9, 0, 0, 0, time.UTC))
	if err != nil || n != 1 || len(aborted) != 1 || aborted[0] != "dead" {
		t.Errorf("%d uploads, %q aborted, %v; want the dead one", n, aborted, err)
	}
}

// What some stores answer and ours does not: fractions of seconds in a list,
// which Open does not have, and that a deleted file is missing.
func TestOtherStores(t *testing.T) {
	b := fake(t, func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "application/xml")
		if req.Method == http.MethodDelete {
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, "<Error><Code>NoSuchKey</Code></Error>")
			return
		}
		_, _ = io.WriteString(w, listing("a"))
	})
	for info, err := range b.List(t.Context(), "") {
		if err != nil || info.ModTime.Nanosecond() != 0 {
			t.Errorf("%+v, %v", info, err)
		}
	}
	must(t, b.Delete(t.Context(), "a"))
}
