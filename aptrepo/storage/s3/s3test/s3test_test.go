package s3test

import (
	"net"
	"os"
	"strings"
	"testing"
)

// What .ci/s3store builds is what is looked for.
func TestVersionIsTheOneBuilt(t *testing.T) {
	script, err := os.ReadFile("../../../../.ci/s3store")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(script), "\nversitygw="+Version+"\n") {
		t.Errorf(".ci/s3store does not build versitygw %s", Version)
	}
}

func TestStopAndStart(t *testing.T) {
	s := Start(t)
	bucket := s.Bucket()
	s.Stop()
	if conn, err := net.Dial("tcp", strings.TrimPrefix(s.Endpoint, "http://")); err == nil {
		conn.Close()
		t.Error("the server answers after Stop")
	}
	s.Start()
	if found, err := s.Client().BucketExists(t.Context(), bucket); err != nil || !found {
		t.Errorf("after a restart the bucket is there: %v, %v", found, err)
	}
}
