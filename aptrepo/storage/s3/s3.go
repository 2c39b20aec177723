// Package s3 keeps the files of a repository in a bucket of an S3-compatible
// object store: Amazon's, or one's own.
//
// A [Bucket] is a storage.Backend and a storage.Creator, so that any number of
// servers may write to it; a storage.TempCleaner, which ends the uploads that
// crashed servers left; a storage.Stater; and a storage.URLer where [Config.Redirect]
// says so.
//
// # What it needs of the store
//
// Signature version 4; reads that follow a write see it, for single files and
// for listings, as Amazon's do; GET with If-Match and ranges; PUT and
// CompleteMultipartUpload with "If-None-Match: *". A store that ignores the last
// would let one server replace the file of another: [Bucket.Probe] finds out,
// and a program should call it when it starts. The bucket must be there.
//
// The credentials need s3:GetObject, s3:PutObject, s3:DeleteObject,
// s3:AbortMultipartUpload and s3:ListMultipartUploadParts on the files, and on
// the bucket s3:ListBucket (without which a missing file looks like a forbidden
// one) and s3:ListBucketMultipartUploads.
//
// # How files are written
//
// A file of up to [Config.PartSize] bytes is one PUT. A larger one is a multipart
// upload, whose parts are sent one after the other and which is completed at the
// end; if that fails, it is aborted. Nothing is kept in memory or on disk for it:
// each section of the file is read twice, once for its SHA-256, which is part of
// the signature, and once to be sent. A store that received other bytes must
// refuse them.
//
// What fails for a reason that may pass (a connection, 5xx, 429) is tried again
// for up to half a minute. Each write has a random name among the file's
// metadata, by which an attempt whose answer got lost is told from somebody
// else's file.
//
// A crash leaves parts behind, which cost space and are seen by nobody.
// CleanTemp removes them; a lifecycle rule of the bucket
// (AbortIncompleteMultipartUpload) does as well.
//
// # Secrets
//
// Errors hold the operation, the key and the store's error code, but no text
// that the store wrote, no address with a signature, and no credentials.
package s3

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/s3utils"

	"github.com/repod-io/repod/aptrepo/storage"
)

// Config says where a bucket is and how to reach it.
type Config struct {
	// Endpoint is the store's address, http:// or https://, without a path;
	// Amazon's of the region if it is empty.
	Endpoint string
	// Region is part of every signature; us-east-1 if it is empty.
	Region string
	Bucket string
	// Prefix is put before all keys, with a slash between: "apt" for apt/pool/...
	// It is empty, or a valid key of storage. Together with it, keys may have
	// 1024 bytes.
	Prefix string
	// PathStyle puts the bucket's name into the path instead of the host name:
	// most stores other than Amazon's want it. Without it, the name of Amazon's
	// hosts gets the bucket, and that of no other.
	PathStyle bool

	AccessKeyID     string
	SecretAccessKey string

	// PartSize is the size of what is sent at once, in bytes; 16 MiB if it is
	// 0, and at least 5 MiB, the protocol's minimum. A file has at most 10,000
	// parts.
	PartSize int64
	// PageSize is how many keys List asks for at once; the store's own limit
	// if it is 0, which is 1000.
	PageSize int
	// Redirect is for how long the addresses hold that URL returns, at most 7
	// days. If it is 0, there are none, and files are read through the server.
	Redirect time.Duration
	// PublicEndpoint is what stands in the addresses that URL returns in place of
	// Endpoint, where clients reach the store by another name than servers do. It
	// has the form of Endpoint, which it is if it is empty.
	PublicEndpoint string
	// Stall is how long a connection may stand still before it is given up; 30
	// seconds if it is 0. It does not limit how long a transfer takes.
	Stall time.Duration
	// Transport sends the requests. If it is nil, they go to the endpoint
	// without any proxy. Stall has no effect on another one.
	Transport http.RoundTripper
}

const (
	defaultRegion   = "us-east-1"
	defaultEndpoint = "https://s3.amazonaws.com" // the client finds the region's
	defaultPartSize = 16 << 20
	minPartSize     = 5 << 20
	maxParts        = 10_000
	maxKey          = 1024 // bytes
	maxRedirect     = 7 * 24 * time.Hour
	urlRedirect     = 15 * time.Minute // what redirect=true means in an address
	defaultStall    = 30 * time.Second
)

// String returns the address that [ParseURL] reads. It leaves the credentials
// out, and so does what fmt prints of a Config.
func (c Config) String() string {
	u := url.URL{Scheme: "s3", Host: c.Bucket}
	if c.Prefix != "" {
		u.Path = "/" + c.Prefix
	}
	values := url.Values{}
	for name, value := range map[string]string{"endpoint": c.Endpoint, "region": c.Region, "public_endpoint": c.PublicEndpoint} {
		if value != "" {
			values.Set(name, value)
		}
	}
	if c.PathStyle {
		values.Set("path_style", "true")
	}
	if c.Redirect != 0 {
		values.Set("redirect", "true")
	}
	// Colons and slashes mean nothing in a query, and are better read as they are.
	u.RawQuery = strings.NewReplacer("%3A", ":", "%2F", "/").Replace(values.Encode())
	return u.String()
}

// GoString is String, for %#v.
func (c Config) GoString() string { return c.String() }

// A Bucket is a part of a bucket, or all of it. Its methods can be called
// concurrently; several programs may use it at once.
type Bucket struct {
	api      minio.Core
	public   minio.Core // signs what clients fetch
	name     string
	prefix   string // with its slash
	partSize int64
	pageSize int
	redirect time.Duration
	closing  func() // idle connections

	// wait pauses before another attempt, the first time with 1. Tests shorten
	// it.
	wait func(ctx context.Context, attempt int) error
}

var (
	_ storage.Backend     = (*Bucket)(nil)
	_ storage.Creator     = (*Bucket)(nil)
	_ storage.URLer       = (*Bucket)(nil)
	_ storage.Stater      = (*Bucket)(nil)
	_ storage.TempCleaner = (*Bucket)(nil)
)

// Open checks c and returns its bucket. It sends nothing: see [Bucket.Probe].
func Open(c Config) (*Bucket, error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("opening S3 storage: %w", err)
	}
	transport, closing := c.transport()
	core, err := c.client(c.Endpoint, transport)
	if err != nil {
		return nil, fmt.Errorf("opening S3 storage: %w", err)
	}
	core.SetAppInfo("repod", "1")
	public, err := c.client(cmp.Or(c.PublicEndpoint, c.Endpoint), transport)
	if err != nil {
		return nil, fmt.Errorf("opening S3 storage: the public address: %w", err)
	}
	b := &Bucket{
		api:      *core,
		public:   *public,
		name:     c.Bucket,
		partSize: cmp.Or(c.PartSize, defaultPartSize),
		pageSize: c.PageSize,
		redirect: c.Redirect,
		closing:  closing,
		wait:     backOff,
	}
	if c.Prefix != "" {
		b.prefix = c.Prefix + "/"
	}
	return b, nil
}

// client returns what signs requests for an endpoint, and sends them.
func (c *Config) client(address string, transport http.RoundTripper) (*minio.Core, error) {
	endpoint, err := parseEndpoint(cmp.Or(address, defaultEndpoint))
	if err != nil {
		return nil, err
	}
	lookup := minio.BucketLookupAuto
	if c.PathStyle {
		lookup = minio.BucketLookupPath
	}
	return minio.NewCore(endpoint.Host, &minio.Options{
		Creds:        credentials.NewStaticV4(c.AccessKeyID, c.SecretAccessKey, ""),
		Secure:       endpoint.Scheme == "https",
		Transport:    transport,
		Region:       cmp.Or(c.Region, defaultRegion),
		BucketLookup: lookup,
		MaxRetries:   1, // see try
	})
}

func (c *Config) check() error {
	switch {
	case s3utils.CheckValidBucketNameStrict(c.Bucket) != nil:
		return fmt.Errorf("%q is no valid name of a bucket", c.Bucket)
	case c.Prefix != "" && !storage.ValidKey(c.Prefix):
		return fmt.Errorf("%q is no valid prefix: want a path like apt or apt/main", c.Prefix)
	case c.AccessKeyID == "" || c.SecretAccessKey == "":
		return errors.New("the access key or its secret is missing")
	case strings.ContainsFunc(c.AccessKeyID+c.SecretAccessKey, notGraphic):
		return errors.New("the access key or its secret holds blanks or control characters")
	case c.PartSize != 0 && c.PartSize < minPartSize:
		return fmt.Errorf("a part size of %d bytes is too small: want at least %d", c.PartSize, minPartSize)
	case c.PublicEndpoint != "" && c.Redirect == 0:
		return errors.New("a public endpoint is of no use without redirects")
	case c.PageSize < 0 || c.Stall < 0 || c.Redirect < 0 || c.Redirect > maxRedirect:
		return errors.New("a limit is out of its range")
	case strings.ContainsFunc(c.Region, func(r rune) bool { return notGraphic(r) || r == '/' || r > '~' }):
		return fmt.Errorf("%q is no region", c.Region)
	}
	return nil
}

func notGraphic(r rune) bool { return r <= ' ' || r == 0x7f }

func parseEndpoint(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("the endpoint is no address: want https://host or http://host:port")
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "" && u.Path != "/" {
		return nil, errors.New("the endpoint has more than a host and a port: want https://host or http://host:port")
	}
	return u, nil
}

// Close lets idle connections go. The Bucket can still be used.
func (b *Bucket) Close() error {
	b.closing()
	return nil
}

// admit is the first step of each method that takes a key. It returns the
// object's name in the bucket.
func (b *Bucket) admit(ctx context.Context, op, key string) (string, error) {
	if err := storage.CheckKey(op, key); err != nil {
		return "", err
	}
	object := b.prefix + key
	if len(object) > maxKey {
		return "", pathError(op, key, fs.ErrInvalid)
	}
	if err := ctx.Err(); err != nil {
		return "", pathError(op, key, err)
	}
	return object, nil
}

func pathError(op, key string, err error) error { return &fs.PathError{Op: op, Path: key, Err: err} }

// Delete implements storage.Backend. In a bucket with versions it hides the
// file; what becomes of its versions is for the bucket's lifecycle rules to say.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	object, err := b.admit(ctx, "delete", key)
	if err != nil {
		return err
	}
	err = b.try(ctx, func(int) error {
		return b.api.RemoveObject(ctx, b.name, object, minio.RemoveObjectOptions{})
	})
	if err != nil && !isMissing(err) {
		return fail("delete", key, err)
	}
	return nil
}

// URL implements storage.URLer. It sends nothing. Whoever has the address can
// read the file until Config.Redirect is over, also after it has been taken out
// of a distribution.
func (b *Bucket) URL(ctx context.Context, key string) (string, error) {
	object, err := b.admit(ctx, "url", key)
	if err != nil {
		return "", err
	}
	if b.redirect == 0 {
		return "", pathError("url", key, errors.ErrUnsupported)
	}
	u, err := b.public.PresignedGetObject(ctx, b.name, object, b.redirect, nil)
	if err != nil {
		return "", fail("url", key, err)
	}
	return u.String(), nil
}

// probeKey starts the keys of what Probe writes.
const probeKey = storage.CheckPrefix + "s3-"

// Probe finds out whether the bucket can be used: it creates a file, sees that
// it cannot be created again, which is what keeps several servers apart, and
// deletes it.
func (b *Bucket) Probe(ctx context.Context) (err error) {
	key := probeKey + writeName()
	defer func() {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortLimit)
		defer cancel()
		err = errors.Join(err, b.Delete(clean, key))
		if err != nil {
			err = fmt.Errorf("bucket %s: %w", b.name, err)
		}
	}()
	if err := b.Create(ctx, key, strings.NewReader("1")); err != nil {
		return err
	}
	switch err := b.Create(ctx, key, strings.NewReader("2")); {
	case err == nil:
		return errors.New("the store ignores If-None-Match: servers would replace each other's files; it cannot be used")
	case !errors.Is(err, fs.ErrExist):
		return err
	}
	r, _, err := b.Open(ctx, key)
	if err != nil {
		return err
	}
	defer r.Close()
	if text, err := io.ReadAll(r); err != nil || string(text) != "1" {
		return errors.Join(errors.New("the store does not return what was written"), err)
	}
	return nil
}
