package s3

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/repod-io/repod/aptrepo/storage"
)

const (
	attempts = 6
	// patience is for how long after the first attempt another one begins.
	patience = 30 * time.Second
	firstGap = 100 * time.Millisecond
	lastGap  = 3 * time.Second
)

// try calls do until it succeeds, fails for good, or it is time to give up. It
// counts the attempts from 1.
func (b *Bucket) try(ctx context.Context, do func(attempt int) error) error {
	began := time.Now()
	for n := 1; ; n++ {
		err := do(n)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case !transient(err) || n == attempts || time.Since(began) > patience:
			return err
		}
		if err := b.wait(ctx, n); err != nil {
			return err
		}
	}
}

// backOff waits, each time up to twice as long.
func backOff(ctx context.Context, attempt int) error {
	gap := min(firstGap<<(attempt-1), lastGap)
	t := time.NewTimer(gap/2 + rand.N(gap/2))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// final marks an error of our own side, for which no other attempt helps.
type final struct{ error }

func (f final) Unwrap() error { return f.error }

// transientCodes are errors of the store that may pass, beside 5xx: the answer to
// CompleteMultipartUpload begins with 200, whatever comes of it.
var transientCodes = []string{
	"ConditionalRequestConflict", // somebody creates the same key at this moment
	"InternalError",
	"OperationAborted",
	"RequestTimeout",
	"ServiceUnavailable",
	"SlowDown",
	"Throttling",
	"ThrottlingException",
}

func transient(err error) bool {
	var own final
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &own) || errors.As(err, &certificate) {
		return false
	}
	answer, ok := answerOf(err)
	if !ok {
		return true // the connection
	}
	return slices.Contains(transientCodes, answer.Code) || answer.StatusCode == http.StatusTooManyRequests ||
		answer.StatusCode == http.StatusRequestTimeout ||
		answer.StatusCode >= 500 && answer.StatusCode != http.StatusNotImplemented && !full(answer)
}

// answerOf returns the store's refusal, if err is one.
func answerOf(err error) (minio.ErrorResponse, bool) {
	var answer minio.ErrorResponse
	ok := errors.As(err, &answer)
	return answer, ok
}

func hasCode(err error, code string) bool {
	answer, ok := answerOf(err)
	return ok && answer.Code == code
}

// isMissing reports whether err says that there is no such file. That there is
// no such bucket is another matter: the files of a repository must not all look
// as if they had been deleted because of a wrong setting.
func isMissing(err error) bool { return hasCode(err, "NoSuchKey") }

// unmet reports whether err says that the condition of a request did not hold.
func unmet(err error) bool {
	answer, ok := answerOf(err)
	return ok && answer.StatusCode == http.StatusPreconditionFailed
}

// fullCodes say that there is no room, with Amazon's and other stores' words.
var fullCodes = []string{
	"InsufficientStorage", "QuotaExceeded", "StorageFull",
	"XMinioStorageFull", "XMinioAdminBucketQuotaExceeded",
}

func full(answer minio.ErrorResponse) bool {
	return answer.StatusCode == http.StatusInsufficientStorage || slices.Contains(fullCodes, answer.Code)
}

// fail returns the error of a method. Of the store's answer it keeps the code
// and the status alone: nobody knows what else a store, or what poses as one,
// repeats in its text. Of a failed request it drops the address.
func fail(op, key string, err error) error {
	answer, ok := answerOf(err)
	var request *url.Error
	switch {
	case ok && full(answer):
		return fmt.Errorf("%s %s: %w: %s", op, key, storage.ErrFull, refusal(answer))
	case ok:
		return fmt.Errorf("%s %s: %s", op, key, refusal(answer))
	case errors.As(err, &request):
		err = request.Err
		if strings.Contains(err.Error(), "Connection closed by foreign host") {
			err = errClosed // the client's text holds the address
		}
	}
	return fmt.Errorf("%s %s: %w", op, key, err)
}

var errClosed = errors.New("the store closed the connection")

// hints say what to do about the errors of a wrong configuration.
var hints = map[string]string{
	"AccessDenied":                 "the credentials may not do this",
	"InvalidAccessKeyId":           "the store does not know the access key",
	"NoSuchBucket":                 "create the bucket, or check its name",
	"PermanentRedirect":            "check the endpoint and the region",
	"AuthorizationHeaderMalformed": "check the region",
	"RequestTimeTooSkewed":         "set the clock of this machine",
	"SignatureDoesNotMatch":        "check the secret access key",
}

func refusal(answer minio.ErrorResponse) string {
	text := fmt.Sprintf("the store answers %s", code(answer.Code))
	if answer.StatusCode != 0 {
		text += fmt.Sprintf(" (%d)", answer.StatusCode)
	}
	if hint := hints[answer.Code]; hint != "" {
		text += ": " + hint
	}
	return text
}

// code returns an error code if it looks like one.
func code(s string) string {
	odd := func(r rune) bool { return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') }
	if s == "" || len(s) > 64 || strings.ContainsFunc(s, odd) {
		return "an error"
	}
	return s
}
