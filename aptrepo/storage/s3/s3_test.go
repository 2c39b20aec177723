package s3_test

import (
	"testing"

	"github.com/repod-io/repod/aptrepo/storage"
	"github.com/repod-io/repod/aptrepo/storage/s3"
	"github.com/repod-io/repod/aptrepo/storage/s3/s3test"
	"github.com/repod-io/repod/aptrepo/storage/storagetest"
)

// at returns how to reach a new bucket of a server.
func at(srv *s3test.Server) s3.Config {
	return s3.Config{
		Endpoint: srv.Endpoint, Region: s3test.Region, Bucket: srv.Bucket(), PathStyle: true,
		AccessKeyID: srv.AccessKey, SecretAccessKey: srv.SecretKey,
	}
}

func open(t testing.TB, c s3.Config) *s3.Bucket {
	t.Helper()
	b, err := s3.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func TestBackend(t *testing.T) {
	srv := s3test.Start(t)
	storagetest.Run(t, func(t *testing.T) storage.Backend { return open(t, at(srv)) })
}
