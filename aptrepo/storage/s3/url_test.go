package s3_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo/storage/s3"
)

func TestParseURL(t *testing.T) {
	for _, tt := range []struct {
		address string
		want    s3.Config
		fault   string // a part of the error
	}{
		{"s3://bucket", s3.Config{Bucket: "bucket"}, ""},
		{"s3://bucket/", s3.Config{Bucket: "bucket"}, ""},
		{"s3://my.bucket/apt/main/?region=eu-west-1", s3.Config{Bucket: "my.bucket", Prefix: "apt/main", Region: "eu-west-1"}, ""},
		{
			"s3://bucket/apt?endpoint=http://host:9000&region=r&path_style=true",
			s3.Config{Bucket: "bucket", Prefix: "apt", Endpoint: "http://host:9000", Region: "r", PathStyle: true}, "",
		},
		{"s3://bucket?path_style=false&endpoint=https%3A%2F%2F[::1]:9000", s3.Config{Bucket: "bucket", Endpoint: "https://[::1]:9000"}, ""},
		{
			"s3://bucket?redirect=true&public_endpoint=https://files.example:8443",
			s3.Config{Bucket: "bucket", Redirect: 15 * time.Minute, PublicEndpoint: "https://files.example:8443"}, "",
		},
		{"s3://bucket?redirect=false", s3.Config{Bucket: "bucket"}, ""},
		{"s3://bucket?redirect=yes", s3.Config{}, "redirect is neither true nor false"},
		{"s3://bucket?redirect=true&public_endpoint=http://u:secret@host", s3.Config{}, "public_endpoint"},
		{"s3://bucket/a%20b", s3.Config{Bucket: "bucket", Prefix: "a b"}, ""},

		{"", s3.Config{}, "no address"},
		{"s3:", s3.Config{}, "no address"},
		{"s3:///apt", s3.Config{}, "no address"},
		{"http://bucket", s3.Config{}, "no address"},
		{"s3://bucket:9000/", s3.Config{}, "more than a bucket"},
		{"s3://bucket/#x", s3.Config{}, "more than a bucket"},
		{"s3://AKIA:secret@bucket/", s3.Config{}, "credentials do not belong"},
		{"s3://bucket/../x", s3.Config{}, "no valid prefix"},
		{"s3://bucket/a//b", s3.Config{}, "no valid prefix"},
		{"s3://bucket?secret=hidden", s3.Config{}, `unknown parameter "secret"`},
		{"s3://bucket?region=a&region=b", s3.Config{}, "twice"},
		{"s3://bucket?path_style=yes", s3.Config{}, "neither true nor false"},
		{"s3://bucket?endpoint=host:9000", s3.Config{}, "endpoint"},
		{"s3://bucket?endpoint=http://u:secret@host", s3.Config{}, "endpoint"},
		{"s3://bucket?endpoint=http://host/path", s3.Config{}, "endpoint"},
		{"s3://bucket?endpoint=ftp://host", s3.Config{}, "endpoint"},
		{"s3://bucket?endpoint=%zz", s3.Config{}, "cannot be read"},
	} {
		got, err := s3.ParseURL(tt.address)
		if (err == nil) != (tt.fault == "") || err != nil && !strings.Contains(err.Error(), tt.fault) {
			t.Errorf("%q: error %v, want %q", tt.address, err, tt.fault)
		}
		if err != nil {
			for _, secret := range []string{"AKIA", "secret@", "hidden"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("%q: the error repeats it: %v", tt.address, err)
				}
			}
			continue
		}
		if got != tt.want {
			t.Errorf("%q: %#v, want %#v", tt.address, got, tt.want)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	f.Add("s3://bucket/apt?endpoint=http://host:9000&region=r&path_style=true")
	f.Add("s3://my.bucket/a b/%2b?region=%20")
	f.Add("s3://bucket?redirect=true&public_endpoint=https://files.example")
	f.Fuzz(func(t *testing.T, address string) {
		c, err := s3.ParseURL(address)
		if err != nil {
			return
		}
		again, err := s3.ParseURL(c.String())
		if err != nil || again != c {
			t.Errorf("%q is read as %#v, which is read as %#v, %v", address, c, again, err)
		}
	})
}

func TestOpenRefuses(t *testing.T) {
	good := s3.Config{Bucket: "bucket", AccessKeyID: "id", SecretAccessKey: "secret"}
	open(t, good)
	for name, change := range map[string]func(*s3.Config){
		"no bucket":        func(c *s3.Config) { c.Bucket = "" },
		"bucket":           func(c *s3.Config) { c.Bucket = "../bucket" },
		"prefix":           func(c *s3.Config) { c.Prefix = "/apt" },
		"no key":           func(c *s3.Config) { c.AccessKeyID = "" },
		"no secret":        func(c *s3.Config) { c.SecretAccessKey = "" },
		"line in a secret": func(c *s3.Config) { c.SecretAccessKey = "TOPSECRET\n" },
		"small parts":      func(c *s3.Config) { c.PartSize = 1 << 20 },
		"negative":         func(c *s3.Config) { c.PageSize = -1 },
		"redirect":         func(c *s3.Config) { c.Redirect = 8 * 24 * time.Hour },
		"region":           func(c *s3.Config) { c.Region = "eu/west" },
		"endpoint":         func(c *s3.Config) { c.Endpoint = "host:9000" },
	} {
		c := good
		change(&c)
		if _, err := s3.Open(c); err == nil || strings.Contains(err.Error(), "TOPSECRET") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestConfigHidesSecrets(t *testing.T) {
	c := s3.Config{Bucket: "bucket", AccessKeyID: "AKIA", SecretAccessKey: "TOPSECRET"}
	text := fmt.Sprintf("%v %+v %#v %s %v %+v", c, c, c, c, &c, struct{ C s3.Config }{c})
	if strings.Contains(text, "AKIA") || strings.Contains(text, "TOPSECRET") {
		t.Error(text)
	}
}
